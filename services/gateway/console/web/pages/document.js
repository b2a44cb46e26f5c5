// A published document, such as the freeze calendars: what is in force, a new version of it as JSON, its versions.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { order, path } from "../api/client.js";
import { sited, useAsked } from "../api/asking.js";
import { may, site } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { Chip } from "../parts/marks.js";
import { say } from "../parts/notices.js";
import { Empty, Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE, useQueryValue } from "../router.js";
import { number, t } from "../words/index.js";
import { unified } from "./policies/diff.js";
import { DOCUMENTS } from "./policies/documents.js";
import { Editor } from "./policies/editor.js";
import { ImportFreezes } from "./policies/importing.js";
import { Reasoned } from "./policies/publishing.js";
import { Versions } from "./policies/versions.js";
import { useWorking } from "./policies/working.js";

/** @param {{document: string}} props */
export default function Document({ document: name }) {
  const about = Object.hasOwn(DOCUMENTS, name) ? DOCUMENTS[name] : null;
  const asked = useAsked(about && sited(about.base), { on: about ? [about.event] : [] });
  const back = html`<a href=${`${BASE}/policies`}>${t("policy.all")}</a>`;
  if (!about) return html`<${Title} side=${back}>${t("not-found")}<//><${Empty} title=${t("not-found.more")} />`;
  return html`<${Title} side=${back}>${t(`documents.${name}`)}<//><p class="quiet">${t(`documents.${name}.what`)}</p>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Work} name=${name} about=${about} found=${found} reload=${asked.reload} />`}<//>
    ${name === "freezes" && may("gate:read") && html`<${Preview} />`}
    <h2>${t("policy.versions")}</h2><${Versions} base=${about.base} on=${[about.event]} write=${about.write} done=${asked.reload} />`;
}

/** What a site's own text begins with: freezes of all sites hold beside its own, and are not said twice.
 * @param {string} name @param {any} found */
const beginning = (name, found) => (name === "freezes" && site() !== "global" && found.source !== "own" ? { calendars: [] } : found.content);

/** @param {{name: string, about: typeof DOCUMENTS[string], found: any, reload: () => void}} props */
function Work({ name, about, found, reload }) {
  const base = useMemo(() => JSON.stringify(beginning(name, found), null, 2), [name, found]);
  const work = useWorking(`document ${site()} ${name}`, base);
  const begun = useRef(found.own_version); // the version that this text was begun from
  if (!work.dirty) begun.current = found.own_version;
  const [open, setOpen] = useState("");
  const [wrong, setWrong] = useState("");
  useEffect(() => setWrong(""), [work.text]);
  const begin = () => {
    try {
      JSON.parse(work.text);
      setOpen("publish");
    } catch (error) {
      setWrong(/** @type {Error} */ (error).message);
    }
  };
  const deed = (/** @type {any} */ said) =>
    order("PUT", sited(about.base), { content: JSON.parse(work.text), reason: said.reason, expected_version: begun.current }, { key: said._key });
  return html`<section class="panel">
    <p><${Chip} kind=${found.source === "default" ? "none" : "info"}>${t(`documents.source.${found.source}`)}<//> ${found.version > 0 && html`${t("policy.version.of", { version: found.version })}: ${found.reason} <span class="quiet">${found.author} <${When} at=${found.published_at} /></span>`}</p>
    ${site() !== "global" && found.source !== "own" && html`<p class="stale">${t(name === "freezes" ? "documents.no-own.beside" : "documents.no-own", { site: site() })}</p>`}
    ${(work.moved || work.restored) && html`<p class="stale" role="status">${t(work.moved ? "documents.moved" : "policy.restored")} <button type="button" onClick=${() => work.put(base)}>${t("policy.discard")}</button></p>`}
    <${Editor} key=${work.round} text=${work.text} change=${work.change} label=${t("documents.text", { name: t(`documents.${name}`) })} readOnly=${!may(about.write)} />
    ${wrong && html`<p class="refused" role="alert">${t("documents.no-json")} ${wrong}</p>`}
    ${may(about.write) ? html`<div class="form-buttons"><button type="button" class="primary" disabled=${!work.dirty || work.moved} onClick=${begin}>${t("policy.publish")}…</button>
      ${name === "freezes" && html`<button type="button" onClick=${() => setOpen("import")}>${t("freezes.import")}…</button>`}</div>` : html`<p class="quiet">${t("policy.read-only")}</p>`}
    ${open === "import" && html`<${ImportFreezes} own=${found.own_version} close=${() => setOpen("")} done=${() => (setOpen(""), reload())} />`}
    ${open === "publish" && html`<${Reasoned} title=${t("documents.publish", { name: t(`documents.${name}`) })} submit=${t("policy.publish")} lines=${unified(base, work.text)} deed=${deed} close=${() => setOpen("")}
      done=${(/** @type {any} */ result) => (setOpen(""), work.put(JSON.stringify(result.content, null, 2)), say(t("policy.published", { version: result.version })), reload())} />`}
  </section>`;
}

/** When a gate will be frozen. */
function Preview() {
  const [gate, setGate] = useQueryValue("gate");
  const gates = useAsked(may("policy:read") ? sited("/api/policies") : null);
  const asked = useAsked(gate ? sited(path`/api/gates/${gate}/freezes/preview`) : null, { on: ["governance.freezes.published"] });
  return html`<section class="panel"><h2>${t("documents.preview")}</h2>
    <label>${t("policies.gate")} <select value=${gate} onChange=${(/** @type {any} */ event) => setGate(event.target.value)}><option value="">–</option>
      ${(gates.data ?? []).map((/** @type {any} */ one) => html`<option value=${one.gate} selected=${one.gate === gate}>${one.gate}</option>`)}</select></label>
    ${gate && html`<${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
      ${found.missing.length > 0 && html`<p class="stale">${t("documents.preview.missing")} ${found.missing.join(", ")}</p>`}
      ${found.items.length
        ? html`<ul class="findings">${found.items.map((/** @type {any} */ one) => html`<li><strong>${one.calendar}</strong> <${When} at=${one.begins_at} how="date" /> – <${When} at=${one.ends_at} how="date" /> <span class="quiet">${one.reason} (${t(`documents.source.${one.origin}`)})</span></li>`)}</ul>`
        : html`<p class="quiet">${t("documents.preview.none")} <${When} at=${found.until} how="date" /></p>`}
      ${found.left_out > 0 && html`<p class="quiet">+ ${number(found.left_out)}</p>`}`}<//>`}</section>`;
}
