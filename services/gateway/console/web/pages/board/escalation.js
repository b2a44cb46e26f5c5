// Who was told of an item, what comes next, and how it is stopped.
import { html, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { useAsked, useOrder } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { Refused, Shown } from "../../parts/states.js";
import { When, local } from "../../parts/when.js";
import { t, word } from "../../words/index.js";
import { about, ofItem } from "./items.js";

const KINDS = { running: "warn", acknowledged: "good", snoozed: "info", waiting: "info", exhausted: "bad" };

/** A rest that is over stays in the answer until somebody says something. @param {any} found */
const resting = (found) => found.snoozed_until && Date.parse(found.snoozed_until) > Date.now();

/** @param {{item: any}} props */
export function Escalation({ item }) {
  const asked = useAsked(ofItem(item.id, "escalation"), { on: ["tracker.escalation."], of: about(item.id) });
  return html`<section><h3>${t("board.escalation")}</h3><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
    <p><${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (found.state)] ?? "none"}>${word("escalation", found.state)}<//>
      ${found.level > 0 && ` ${t("board.level", { level: found.level, chain: found.chain ?? "" })}`}
      ${found.next_at && html` ${t("board.next")} <${When} at=${found.next_at} />`}
      ${found.acknowledged_by && ` ${t("board.acknowledged-by", { who: found.acknowledged_by })}`}
      ${resting(found) && ` ${t("board.snoozed-until", { time: local(found.snoozed_until) })}`}
      ${found.reason && html` <span class="quiet">${found.reason}</span>`}</p>
    ${found.steps.length > 0 && html`<ol class="changes">${found.steps.map((/** @type {any} */ step) => html`<li key=${step.key}>${t("board.level", { level: step.level, chain: "" })} <${When} at=${step.at} /> ${step.targets.map((/** @type {any} */ one) => one.people.join(", ") || one.name).join("; ")} ${step.error && html`<span class="late">${step.error}</span>`}</li>`)}</ol>`}
    ${may("remediation:write") && item.is_active && item.status !== "done" && html`<${Hold} item=${item} found=${found} reload=${asked.reload} />`}`}<//></section>`;
}

/** @param {{item: any, found: any, reload: () => void}} props */
function Hold({ item, found, reload }) {
  const [asks, setAsks] = useState("");
  const { busy, problem, run } = useOrder();
  const deed = (/** @type {string} */ what) => run(() => order("POST", ofItem(item.id, what), {})).then(reload);
  const said = (/** @type {Record<string, string>} */ values) => order("POST", ofItem(item.id, asks), { reason: values.reason || undefined, ...(asks === "snooze" ? { until: new Date(values.until).toISOString() } : {}) });
  const done = () => {
    setAsks("");
    reload();
  };
  return html`<div class="bar">
    ${found.acknowledged_by ? html`<button type="button" disabled=${busy} onClick=${() => deed("unacknowledge")}>${t("board.unacknowledge")}</button>` : html`<button type="button" onClick=${() => setAsks("acknowledge")}>${t("board.acknowledge")}</button>`}
    ${resting(found) ? html`<button type="button" disabled=${busy} onClick=${() => deed("wake")}>${t("board.wake")}</button>` : html`<button type="button" onClick=${() => setAsks("snooze")}>${t("board.snooze")}</button>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    ${asks && html`<${Dialog} title=${t(`board.${asks}`)} close=${() => setAsks("")}><${Form} deed=${said} done=${done} submit=${t(`board.${asks}`)} cancel=${() => setAsks("")}>
      ${asks === "snooze" && html`<${Field} name="until" type="datetime-local" label=${t("board.until")} required />`}
      <${Field} name="reason" label=${t("reason")} rows="2" /><//><//>`}
  </div>`;
}
