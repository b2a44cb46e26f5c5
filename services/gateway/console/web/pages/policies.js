// The gates and their policies: what is in force, what is being written, what waits for whom; and the other published documents.
import { html, useState } from "../vendor/preact.js";
import { address, path } from "../api/client.js";
import { sited, useAsked } from "../api/asking.js";
import { may, site } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { Chip } from "../parts/marks.js";
import { Empty, Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE, go } from "../router.js";
import { number, t } from "../words/index.js";
import { getOrNull } from "./policies/working.js";
import { DOCUMENTS } from "./policies/documents.js";

const HEARD = ["governance.policies.published"];
const DRAFTED = [...HEARD, "governance.policies.drafted", "governance.policies.approved"];

export default function Policies() {
  const asked = useAsked(sited("/api/policies"), { on: HEARD });
  return html`<${Title}>${t("policies.title")}<//>
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => (found.length ? html`<${Gates} gates=${found} />` : html`<${Empty} title=${t("policies.empty")}><p>${t("policies.empty.more")}</p><//>`)}<//>
    ${may("policy:write") && html`<${Begin} />`}
    <section class="panel"><h2>${t("documents.title")}</h2><p class="quiet">${t("documents.what")}</p>
      <ul class="documents">${Object.entries(DOCUMENTS).filter(([, one]) => may(one.read)).map(([name]) => html`<li key=${name}><a href=${BASE + path`/documents/${name}`}>${t(`documents.${name}`)}</a><p class="quiet">${t(`documents.${name}.what`)}</p></li>`)}</ul></section>`;
}

/** @param {{gates: any[]}} props */
function Gates({ gates }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("policies.title")}><table class="cards"><thead><tr>
      <th scope="col">${t("policies.gate")}</th><th scope="col">${t("policies.everywhere")}</th>${site() !== "global" && html`<th scope="col">${t("policies.own", { site: site() })}</th>`}<th scope="col">${t("policies.draft")}</th></tr></thead>
    <tbody>${gates.map((one) => html`<tr key=${one.gate}>
      <th scope="row"><a href=${BASE + path`/policies/${one.gate}`}>${one.gate}</a><p class="quiet">${one.title}</p></th>
      <td>${one.version ? number(one.version) : t("policy.file")}</td>
      ${site() !== "global" && html`<td>${one.own_version ? number(one.own_version) : "–"}</td>`}
      <td><${Draft} gate=${one.gate} /></td></tr>`)}</tbody></table></div>`;
}

/** Whether somebody is writing the gate's next text, and what it still lacks. @param {{gate: string}} props */
function Draft({ gate }) {
  const { data: draft } = useAsked(sited(path`/api/policies/${gate}/draft`), { on: DRAFTED, ask: getOrNull });
  const url = draft ? address(sited(path`/api/policies/${gate}/approvals`, { digest: draft.digest })) : null;
  const { data: approvals } = useAsked(url, { on: DRAFTED, ask: getOrNull });
  if (!draft) return html`<span class="quiet">–</span>`;
  const problems = draft.problems.length;
  const have = (approvals?.wanted ?? []).reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + Math.min(one.have, one.count), 0);
  const count = (approvals?.wanted ?? []).reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.count, 0);
  return html`<${Chip} kind=${problems ? "bad" : "good"}>${problems ? t("policies.problems", { count: problems }) : t("policies.publishable")}<//>
    ${count > 0 && html` <${Chip} kind=${have >= count ? "good" : "warn"}>${t("policy.approvals.of", { have, count })}<//>`}
    <p class="quiet">${draft.saved_by} <${When} at=${draft.saved_at} /></p>`;
}

/** The policy of a gate that is none yet. */
function Begin() {
  const [name, setName] = useState("");
  const begin = (/** @type {Event} */ event) => {
    event.preventDefault();
    go(path`/policies/${name.trim()}`);
  };
  return html`<form class="bar policy-begin" onSubmit=${begin}><label>${t("policies.new")}<br /><input value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} required pattern="[a-z0-9\\-]{1,40}" title=${t("policies.new.hint")} /></label>
    <button type="submit">${t("policies.begin")}</button></form>`;
}
