// The cheapest set of repairs that makes it GO: who does what, and when it can be GO at the earliest.
import { html } from "../../vendor/preact.js";
import { path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { number, t } from "../../words/index.js";

/** @param {{run: any}} props */
export function PathToGo({ run }) {
  const asked = useAsked(sited(path`/api/gates/${run.gate}/runs/${run.run_id}/path`));
  return html`<section class="panel"><h2>${t("verdict.path")}</h2>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
      <p>${found.earliest_go_at ? html`${t("verdict.path.earliest")} <strong><${When} at=${found.earliest_go_at} how="both" /></strong>` : t("verdict.path.halted")}
        ${found.repairs.length > 0 && html` · ${t("verdict.path.cost", { count: found.repairs.length, hours: number(found.cost_hours) })}`}</p>
      ${found.waits_for_approval && html`<p>${t("verdict.path.approval")}</p>`}
      ${found.repairs.length > 0 && html`<ol class="repairs">${found.repairs.map((/** @type {any} */ one) => html`<li>
        <strong>${one.action || one.rule_id}</strong> <span class="quiet">${one.rule_id}</span>
        <div>${one.reason}</div>
        <div class="quiet">${one.owner_role} · ${t("verdict.sla", { hours: one.sla_hours })}${one.open_items !== null && html` · ${t("verdict.path.load", { count: one.open_items })}`}</div>
      </li>`)}</ol>`}
      ${may("remediation:read") && html`<p><a href="${BASE}/board?${new URLSearchParams({ gate: run.gate })}">${t("verdict.path.board")}</a></p>`}`}<//>
  </section>`;
}
