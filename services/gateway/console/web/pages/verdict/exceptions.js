// Waivers and accepted baselines: asked for by one person, approved by another, over on a day. Both go the same way.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may, reader } from "../../api/session.js";
import { Deed } from "../../parts/deed.js";
import { Field } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t, word } from "../../words/index.js";
import { inDays } from "./run.js";

const KINDS = {
  waiver: { list: "/api/waivers", id: "waiver_id", heard: "governance.waiver." },
  baseline: { list: "/api/baselines", id: "accepted_id", heard: "governance.baseline." },
};
const CHIPS = { requested: "warn", approved: "good", declined: "bad", withdrawn: "none", revoked: "bad" };

/** @param {{run: import("./run.js").Run, kind: "waiver"|"baseline"}} props */
export function Exceptions({ run, kind }) {
  const { list, heard } = KINDS[kind];
  const asked = useAsked(sited(list, { gate: run.gate, subject: run.subject, limit: 200 }), { on: [heard] });
  return html`<section class="panel"><h2>${t(`verdict.${kind}s`)}</h2>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => {
      const fitting = found.items.filter((/** @type {any} */ one) => kind === "baseline" ? one.line === run.line : !one.version || one.version === run.version);
      const open = fitting.filter((/** @type {any} */ one) => one.in_force || (one.state === "requested" && Date.parse(one.ends_at) > Date.now()));
      const past = fitting.filter((/** @type {any} */ one) => !open.includes(one));
      return html`
        ${open.length ? html`<ul class="exceptions">${open.map((/** @type {any} */ one) => html`<${One} key=${one[KINDS[kind].id]} of=${one} kind=${kind} run=${run} reload=${asked.reload} />`)}</ul>` : html`<p class="quiet">${t(`verdict.${kind}s.none`)}</p>`}
        ${past.length > 0 && html`<details><summary>${t("verdict.past", { count: past.length })}</summary><ul class="exceptions">${past.map((/** @type {any} */ one) => html`<${One} key=${one[KINDS[kind].id]} of=${one} kind=${kind} run=${run} reload=${asked.reload} past />`)}</ul></details>`}`;
    }}<//>
    ${may("exception:write") && html`<p>${kind === "waiver" ? html`<${AskWaiver} run=${run} done=${asked.reload} />` : run.version && html`<${AskBaseline} run=${run} done=${asked.reload} />`}</p>`}
  </section>`;
}

/** @param {{of: any, kind: "waiver"|"baseline", run: any, reload: () => void, past?: boolean}} props */
function One({ of, kind, run, reload, past }) {
  const { list, id } = KINDS[kind];
  const number = of[id];
  const own = of.requested_by === reader()?.username;
  const verb = (/** @type {string} */ name, /** @type {boolean} */ primary = false, danger = false) => html`<${Deed} label=${t(`verdict.${name}`)} name=${`${t(`verdict.${kind}`)} ${number}`} primary=${primary} danger=${danger} done=${reload}
    about=${html`<p><q>${of.reason}</q></p>`} deed=${(/** @type {any} */ said) => order("POST", sited(`${list}/${number}/${name}`), { reason: said.reason }, { key: said._key })} />`;
  const approves = may("exception:approve");
  return html`<li>
    <div class="verdict-line"><strong>${kind === "waiver" ? of.rule_id : t("verdict.baseline.counts", { findings: of.finding_count, vanished: of.vanished_count })}</strong>
      <${Chip} kind=${of.in_force ? "good" : CHIPS[/** @type {keyof typeof CHIPS} */ (of.state)] ?? "none"}>${of.in_force ? t("verdict.in-force") : of.state === "approved" ? t("verdict.ended") : word("exception", of.state)}<//>
      ${of.in_force && kind === "waiver" && run.unused_waivers.includes(number) && html`<${Chip} kind="none">${t("verdict.unused")}<//>`}
      ${of.fingerprint && html`<code>${of.fingerprint}</code>`}${of.version && kind === "waiver" && html`<span class="quiet">${t("verdict.only-version", { version: of.version })}</span>`}
      ${of.without_evidence && html`<span class="quiet">${t("verdict.without-evidence")}</span>`}</div>
    <p><q>${of.reason}</q>${of.issue && html` <code>${of.issue}</code>`}</p>
    <p class="quiet">${of.decided_by ? t("verdict.by-two", { one: of.requested_by, other: of.decided_by }) : t("verdict.asked-by", { who: of.requested_by })} · ${t("verdict.ends")} <${When} at=${of.ended_at ?? of.ends_at} how="both" />
      ${of.end_reason && html` · ${of.ended_by}: <q>${of.end_reason}</q>`}${of.state === "declined" && html` · <q>${of.decision_reason}</q>`}</p>
    ${!past && html`<div class="verdict-line">
      ${of.state === "requested" && approves && !own && html`${verb("approve", true)} ${verb("decline")}`}
      ${of.state === "requested" && own && approves && html`<span class="quiet">${t("verdict.own")}</span>`}
      ${of.in_force && approves && verb("revoke", false, true)}
      ${own && may("exception:write") && verb("withdraw")}
    </div>`}
  </li>`;
}

/** @param {Record<string, string>} said */
const until = (said) => new Date(said.ends_at).toISOString();

/** Ask that a rule does not count. @param {{run: import("./run.js").Run, rule?: string, done?: () => void}} props */
export function AskWaiver({ run, rule, done }) {
  const of = run.version ? { subject: run.subject } : {};
  const deed = (/** @type {any} */ said) =>
    order("POST", sited("/api/waivers"), {
      gate: run.gate, ...of, rule_id: said.rule_id, ends_at: until(said), reason: said.reason,
      ...(said.version_only && { version: run.version }), ...(said.fingerprint.trim() && { fingerprint: said.fingerprint.trim() }),
      ...(said.without_evidence && { without_evidence: true }), ...(said.issue.trim() && { issue: said.issue.trim() }),
    }, { key: said._key });
  const names = run.rules.map((one) => /** @type {[string, string]} */ ([one.id, one.id]));
  const first = rule ?? run.rules.find((one) => one.status === "fail")?.id ?? names[0]?.[0];
  return html`<${Deed} label=${t("verdict.waiver.ask")} name=${rule} about=${html`<p>${t("verdict.waiver.about")}</p>`} deed=${deed} done=${done}>
    <${Field} name="rule_id" label=${t("verdict.rule")} options=${names} value=${first} />
    <${Field} name="fingerprint" label=${t("verdict.fingerprint")} hint=${t("verdict.fingerprint.hint")} />
    ${run.version && html`<p><label><input type="checkbox" name="version_only" /> ${t("verdict.only-version", { version: run.version })}</label></p>`}
    <p><label><input type="checkbox" name="without_evidence" /> ${t("verdict.without-evidence")}</label></p>
    <${Field} name="ends_at" type="datetime-local" label=${t("verdict.ends")} value=${inDays(7)} required />
    <${Field} name="issue" label=${t("verdict.issue")} hint=${t("verdict.issue.hint")} />
  <//>`;
}

/** @param {{run: any, done: () => void}} props */
function AskBaseline({ run, done }) {
  const deed = (/** @type {any} */ said) =>
    order("POST", sited(path`/api/gates/${run.gate}/baselines`), {
      subject: run.subject, version: run.version, ...(run.line && { line: run.line }), ends_at: until(said), reason: said.reason,
      ...(said.issue.trim() && { issue: said.issue.trim() }),
    }, { key: said._key });
  return html`<${Deed} label=${t("verdict.baseline.ask")} about=${html`<p>${t("verdict.baseline.about")}</p>`} deed=${deed} done=${done}>
    <${Field} name="ends_at" type="datetime-local" label=${t("verdict.ends")} value=${inDays(30)} required />
    <${Field} name="issue" label=${t("verdict.issue")} hint=${t("verdict.issue.hint")} />
  <//>`;
}
