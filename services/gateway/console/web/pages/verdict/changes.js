// What is different since the last GO of the line.
import { html } from "../../vendor/preact.js";
import { path } from "../../api/client.js";
import { RuleStatus } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { t } from "../../words/index.js";

/** @param {{run: any, explained: import("../../api/asking.js").Asked}} props */
export function Changes({ run, explained }) {
  return html`<section class="panel"><h2>${t("verdict.changes")}</h2>
    <${Shown} asked=${explained}>${(/** @type {any} */ found) => html`
      ${found.last_go && html`<p>${t("verdict.last-go")} <a href=${BASE + path`/gates/${run.gate}/runs/${found.last_go.run_id}`}>${found.last_go.version || run.gate} · ${t("verdict.run", { number: String(found.last_go.run_id) })}</a>, <${When} at=${found.last_go.decided_at} how="both" /></p>`}
      ${found.changes.length ? html`<ul>${found.changes.map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul>` : html`<p class="quiet">${t("verdict.changes.none")}</p>`}
      ${found.last_go && html`<${Turned} rules=${found.rules} />`}`}<//>
  </section>`;
}

/** Rules whose status or observation is another than it was. @param {{rules: any[]}} props */
function Turned({ rules }) {
  const turned = rules.filter((one) => one.before !== one.status || one.observed_before !== one.observed);
  if (!turned.length) return null;
  return html`<div class="scroll" role="region" tabindex="0" aria-label=${t("verdict.turned")}><table class="turned">
    <thead><tr><th scope="col">${t("verdict.rule")}</th><th scope="col">${t("verdict.then")}</th><th scope="col">${t("verdict.now")}</th></tr></thead>
    <tbody>${turned.map((one) => html`<tr><th scope="row">${one.rule_id}</th>
      <td>${one.before ? html`<${RuleStatus} status=${one.before} /> ${one.observed_before}` : html`<span class="quiet">${t("verdict.no-rule")}</span>`}</td>
      <td><${RuleStatus} status=${one.status} /> ${one.observed}</td></tr>`)}</tbody>
  </table></div>`;
}
