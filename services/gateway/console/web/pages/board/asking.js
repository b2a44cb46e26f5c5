// Whom to give items to, and what became of many.
import { html } from "../../vendor/preact.js";
import { sited, useAsked } from "../../api/asking.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { t } from "../../words/index.js";
import { BASE } from "./items.js";

/** @param {{items: any[], me: string, close: () => void, done: (assignee: string|null) => Promise<void>}} props */
export function Assign({ items, me, close, done }) {
  const people = useAsked(sited(`${BASE}/people`));
  const known = (people.data?.items ?? people.data ?? []).map((/** @type {any} */ one) => one.username);
  const deed = async (/** @type {Record<string, string>} */ said) => done(said.assignee.trim() || null);
  const names = items.map((one) => `#${one.id} ${one.rule_id}`);
  return html`<${Dialog} title=${items.length === 1 ? `${t("board.assign")}: ${names[0]}` : t("board.assign-title", { count: items.length })} close=${close}>
    ${items.length > 1 && html`<p class="clamp">${names.join(", ")}</p>`}
    <${Form} deed=${deed} submit=${t("board.assign")} cancel=${close}>
      <${Field} name="assignee" label=${t("board.assignee")} hint=${t("board.assign-hint")} value=${items.length === 1 ? (items[0].assignee ?? me) : me} list=${known} />
    <//>
  <//>`;
}

/** @param {{result: any, close: () => void}} props */
export function BulkResult({ result, close }) {
  const refused = result.items.filter((/** @type {any} */ one) => one.outcome === "refused");
  return html`<${Dialog} title=${t("board.bulk-done", { count: result.applied_count })} close=${close}>
    ${refused.length > 0 && html`<p>${t("board.bulk-refused", { count: refused.length })}</p><ul>${refused.map((/** @type {any} */ one) => html`<li key=${one.item_id}>#${one.item_id}: ${one.problem?.detail ?? one.problem?.title}</li>`)}</ul>`}
    <div class="form-buttons"><button type="button" class="primary" onClick=${close}>${t("close")}</button></div>
  <//>`;
}
