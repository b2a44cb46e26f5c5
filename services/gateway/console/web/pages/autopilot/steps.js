// What a plan does, step by step: which item, what happens to it, and why.
import { html } from "../../vendor/preact.js";
import { address } from "../../api/client.js";
import { Chip } from "../../parts/marks.js";
import { Due } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { number, t, word } from "../../words/index.js";

export const AUTOPILOT = "/api/ops/governance/gate/remediation/tracker/autopilot";
export const JOB = "ops_governance_remediation_autopilot";
export const HEARD = ["tracker.job.finished", "tracker.autopilot.", "tracker.autopilot_policy.published"];

/** @typedef {{action: string, item_id: number, gate: string, subject: string, rule_id: string, priority: number, due_at: string|null, assignee: string|null, level: number|null, targets: string[], why: string}} Step */

/** @param {{gate: string, item_id: number}} step */
export const itemOf = (step) => address(`${BASE}/board`, { gate: step.gate, item: step.item_id });

/** @param {Step} step */
function effect(step) {
  if (step.action === "auto_assign") return t("autopilot.gives", { who: step.assignee ?? "" });
  return step.level ? t("autopilot.tells", { level: step.level, whom: step.targets.join(", ") || t("none") }) : t("autopilot.begins");
}

/** @param {{steps: Step[], total?: number}} props `total`: of how many these are the first */
export function Steps({ steps, total = steps.length }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("autopilot.steps")}><table class="ops-rows">
    <thead><tr><th scope="col">${t("autopilot.item")}</th><th scope="col">${t("autopilot.action")}</th><th scope="col">${t("autopilot.effect")}</th><th scope="col">${t("autopilot.why")}</th><th scope="col">${t("autopilot.due")}</th></tr></thead>
    <tbody>${steps.map((one) => html`<tr key="${one.action} ${one.item_id}">
      <th scope="row"><a href=${itemOf(one)}>#${one.item_id} ${one.rule_id}</a><br /><span class="quiet">${one.gate} · ${one.subject}</span></th>
      <td><${Chip} kind=${one.action === "escalation" ? "warn" : "info"}>${word("action", one.action)}<//></td>
      <td>${effect(one)}</td><td class="quiet">${one.why}</td><td><${Due} at=${one.due_at} /></td>
    </tr>`)}</tbody></table></div>
    ${total > steps.length && html`<p class="quiet">${t("autopilot.further", { shown: steps.length, total: number(total) })}</p>`}`;
}
