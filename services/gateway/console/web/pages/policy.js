// One gate's policy: its text with what the API says of it, what publishing would change, versions, backtests, what is in force.
import { html, useEffect, useMemo, useState } from "../vendor/preact.js";
import { order, path } from "../api/client.js";
import { sited, useAsked, useOrder } from "../api/asking.js";
import { may, site } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { say, sayRefused } from "../parts/notices.js";
import { Shown } from "../parts/states.js";
import { BASE, usePlace, useQueryValue } from "../router.js";
import { t } from "../words/index.js";
import { Backtests } from "./policies/backtests.js";
import { marksOf } from "./policies/checking.js";
import { Conflict } from "./policies/conflict.js";
import { Diff, unified } from "./policies/diff.js";
import { Editor } from "./policies/editor.js";
import { DropDraft, Publish } from "./policies/publishing.js";
import { Approvals, Checked, Tests } from "./policies/side.js";
import { Versions } from "./policies/versions.js";
import { getOrNull, useWorking } from "./policies/working.js";

const PUBLISHED = "governance.policies.published";
const TABS = ["edit", "changes", "backtests", "versions", "force"];

/** @param {{gate: string}} props */
export default function Policy({ gate }) {
  const inForce = useAsked(sited(path`/api/policies/${gate}`), { on: [PUBLISHED], ask: getOrNull });
  const draft = useAsked(sited(path`/api/policies/${gate}/draft`), { on: [PUBLISHED, "governance.policies.drafted"], ask: getOrNull });
  return html`<${Title} side=${html`<a href=${`${BASE}/policies`}>${t("policy.all")}</a>`}>${t("policy.title", { gate })}<//>
    <${Shown} asked=${inForce}>${(/** @type {any} */ found) => html`<${Shown} asked=${draft}>${(/** @type {any} */ saved) => html`<${Work} gate=${gate} inForce=${found} draft=${saved} reload=${() => (inForce.reload(), draft.reload())} patch=${draft.patch} />`}<//>`}<//>`;
}

/** A text to begin with, where the gate has none. @param {string} gate */
const fresh = (gate) => `name: ${gate}\ntitle: ${gate}\nsubject_mode: version\nmin_score_percent: 100\nrules:\n  - id: tests_passed\n    title: All tests passed\n    severity: required\n    weight: 1\n    kind: test.junit\n    scope: version\n    max_age_hours: 24\n    when: derived.passed > 0 && derived.not_passed == 0\n    observed: "{derived.not_passed} of {derived.total} tests failed"\n    wanted: 0 failed\n`;

/** The site's own text, and the one that stands for it where the site has none. @param {any} inForce */
function textsOf(inForce) {
  const parts = inForce?.parts ?? [];
  const own = parts.find((/** @type {any} */ one) => one.site === site());
  return { own, basis: own ?? parts[0], version: own?.version ?? 0 };
}

/** @param {{gate: string, inForce: any, draft: any, reload: () => void, patch: (change: (data: any) => any) => void}} props */
function Work({ gate, inForce, draft, reload, patch }) {
  const { own, basis, version } = textsOf(inForce);
  const saved = draft?.content ?? basis?.content ?? fresh(gate);
  const work = useWorking(`policy ${site()} ${gate}`, saved, draft?.digest ?? "");
  const [tab, setTab] = useQueryValue("tab", "edit");
  const [open, setOpen] = useState("");
  const saving = useOrder();
  const [begun, setBegun] = useState(version);
  const last = useAsked(draft && version > 0 ? sited(path`/api/policies/${gate}/versions/${version}`) : null);
  // What is published here was not what somebody else has published since this text was begun, or saved.
  const since = own && own.content !== work.text && (version > begun || (last.data?.version === version && draft && last.data.published_at > draft.saved_at)) ? version : 0;
  const [seen, setSeen] = useState(tab === "edit"); // the editor is loaded when it is looked at, and stays
  useEffect(() => setSeen((before) => before || tab === "edit"), [tab]);
  const schema = useAsked(seen ? "/api/policy-schema" : null);
  const lines = useMemo(() => (tab === "changes" || open === "publish" ? unified(basis?.content ?? "", work.text) : []), [tab, open, basis?.content, work.text]);

  /** @param {string} instead the digest of the draft that this text stands for @returns {Promise<any>} */
  const keep = async (instead) => {
    if (saving.busy) return undefined;
    const text = work.text;
    const url = sited(path`/api/policies/${gate}/draft`);
    const put = (/** @type {string} */ digest) => order("PUT", url, { content: text, expected_digest: digest });
    const result = await saving.run(() => put(instead).catch(async (problem) => {
      if (problem.slug !== "conflict") throw problem;
      const theirs = await getOrNull(url);
      // The text that this one was made of is known by another mark by now: nobody's work is in between.
      if ((theirs?.content ?? basis?.content ?? fresh(gate)) === work.from && (theirs?.digest ?? "") !== instead) return put(theirs?.digest ?? "");
      patch(() => theirs);
      reload();
      setOpen("conflict");
      return null;
    }));
    if (!result) return undefined;
    work.saved(result.content, result.digest);
    patch(() => result);
    say(t(result.problems.length ? "policy.saved.problems" : "policy.saved", { count: result.problems.length }));
    return result;
  };
  const save = async () => (work.moved ? setOpen("conflict") : keep(work.mark));
  const publish = async () => {
    const checked = draft && draft.content === work.text ? draft : await save();
    if (checked && !checked.problems.length) setOpen("publish");
    else if (checked) setTab("edit");
  };
  const closed = () => setOpen("");
  return html`
    <${Notes} work=${work} draft=${draft} own=${own} since=${since} look=${() => setOpen("conflict")} discard=${() => work.put(saved)} />
    ${may("policy:write") && html`<div class="bar">
      <button type="button" onClick=${save} disabled=${saving.busy} aria-busy=${saving.busy} aria-keyshortcuts="Control+S">${t("policy.save")}</button>
      <button type="button" class="primary" onClick=${publish} disabled=${saving.busy}>${t("policy.publish")}…</button>
      ${draft && html`<button type="button" class="danger" onClick=${() => setOpen("drop")}>${t("policy.drop")}…</button>`}
    </div>`}
    <${Refusal} problem=${saving.problem} clear=${saving.clear} />
    <${Tabs} now=${tab} />
    ${seen && html`<div hidden=${tab !== "edit"}><${Edit} gate=${gate} draft=${draft} work=${work} schema=${schema.data} save=${save} /></div>`}
    ${tab === "changes" && html`<p class="quiet">${t(own ? "policy.changes.own" : basis ? "policy.changes.basis" : "policy.changes.empty")}</p><${Diff} lines=${lines} label=${t("policy.diff")} />`}
    ${tab === "backtests" && html`<${Backtests} gate=${gate} text=${work.text} />`}
    ${tab === "versions" && html`<${Versions} base=${path`/api/policies/${gate}`} on=${[PUBLISHED]} issue write="policy:write" done=${reload} />`}
    ${tab === "force" && html`<${InForce} of=${inForce} />`}
    ${open === "publish" && html`<${Publish} gate=${gate} text=${work.text} own=${version} since=${since} lines=${lines} close=${closed}
      done=${(/** @type {any} */ result) => (setBegun(result.version), closed(), work.put(work.text), reload())} />`}
    ${open === "conflict" && work.moved && html`<${Conflict} work=${work} saved=${saved} draft=${draft} busy=${saving.busy} close=${closed} save=${() => keep(draft?.digest ?? "").then((/** @type {any} */ done) => done && closed())} />`}
    ${open === "drop" && html`<${DropDraft} gate=${gate} digest=${draft?.digest} close=${closed} done=${() => (closed(), work.put(basis?.content ?? fresh(gate)), reload())} />`}`;
}

/** A refusal of saving is a notice, so that it is seen wherever the reader is. @param {{problem: any, clear: () => void}} props */
function Refusal({ problem, clear }) {
  useEffect(() => {
    if (!problem) return;
    sayRefused(problem);
    clear();
  }, [problem]);
  return null;
}

/** @param {{work: ReturnType<typeof useWorking>, draft: any, own: any, since: number, look: () => void, discard: () => void}} props */
function Notes({ work, draft, own, since, look, discard }) {
  const button = html`<button type="button" onClick=${discard}>${t("policy.discard")}</button>`;
  return html`<div role="status">
    ${work.moved && html`<p class="stale">${draft ? t("policy.moved", { name: draft.saved_by }) : t("policy.moved.gone")} <button type="button" onClick=${look}>${t("policy.conflict.look")}</button></p>`}
    ${work.restored && !work.moved && html`<p class="stale">${t("policy.restored")} ${button}</p>`}
    ${since > 0 && html`<p class="stale">${t("policy.since", { version: since })}</p>`}
    ${!own && site() !== "global" && html`<p class="quiet">${t("policy.no-own", { site: site() })}</p>`}
    ${!may("policy:write") && html`<p class="quiet">${t("policy.read-only")}</p>`}
  </div>`;
}

/** @param {{now: string}} props */
function Tabs({ now }) {
  const { path: at, query } = usePlace();
  const to = (/** @type {string} */ tab) => {
    const asked = new URLSearchParams(query);
    if (tab === "edit") asked.delete("tab");
    else asked.set("tab", tab);
    return `${BASE}${at}${asked.size ? `?${asked}` : ""}`;
  };
  return html`<nav class="tabs" aria-label=${t("policy.tabs")}>${TABS.map((tab) => html`<a href=${to(tab)} aria-current=${tab === now ? "page" : undefined}>${t(`policy.tab.${tab}`)}</a>`)}</nav>`;
}

/** @param {{gate: string, draft: any, work: ReturnType<typeof useWorking>, schema: any, save: () => void}} props */
function Edit({ gate, draft, work, schema, save }) {
  const [reveal, setReveal] = useState(/** @type {{line: number}|null} */ (null));
  const go = (/** @type {number} */ line) => setReveal({ line });
  const marks = useMemo(() => (draft ? marksOf(draft.content, draft.problems, draft.warnings ?? []) : []), [draft]);
  return html`<div class="workbench">
    <div><${Editor} key=${work.round} text=${work.text} change=${work.change} save=${save} schema=${schema} marks=${marks} reveal=${reveal} label=${t("policy.text", { gate })} readOnly=${!may("policy:write")} />
      <p class="hint">${t("policy.keys")}</p></div>
    <aside aria-label=${t("policy.aside")}>
      <${Checked} draft=${draft} text=${work.text} go=${go} />
      <${Tests} draft=${draft} text=${work.text} go=${go} />
      <${Approvals} gate=${gate} draft=${draft} />
    </aside></div>`;
}

/** @param {{of: any}} props */
function InForce({ of }) {
  if (!of) return html`<p>${t("policy.force.none")}</p>`;
  return html`<p class="quiet">${t("policy.force.digest")} <code>${of.digest}</code></p>${of.parts.map((/** @type {any} */ one) => html`<section class="panel" key=${one.site}>
    <h2>${t(one.site === "global" ? "policy.force.global" : "policy.force.own", { site: one.site })} · ${one.version ? t("policy.version.of", { version: one.version }) : t("policy.file")}</h2>
    ${Object.keys(one.overridden).length ? html`<p>${t("policy.overridden")} ${Object.entries(one.overridden).map(([key, value]) => html`<code>${key}=${String(value)}</code> `)}</p>` : ""}
    <pre tabindex="0" role="region" aria-label=${t("policy.force.text", { site: one.site })}>${one.content}</pre></section>`)}`;
}
