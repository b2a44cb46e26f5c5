// The board as a table: thousands of rows, one of them under the keys.
import { html, useEffect } from "../../vendor/preact.js";
import { Chip } from "../../parts/marks.js";
import { Due, When } from "../../parts/when.js";
import { useVirtual } from "../../parts/virtual.js";
import { number, t, word } from "../../words/index.js";

const ROW_PX = 44;
const STATUSES = ["pending", "in_progress", "blocked", "done"];

/**
 * @param {{items: any[], at: number, chosen: Set<number>, writes: boolean, pick: (index: number) => void, open: (item: any) => void,
 *   toggle: (item: any) => void, setStatus: (item: any, status: string) => void, assign: (item: any) => void}} props
 */
export function Table({ items, at, chosen, writes, pick, open, toggle, setStatus, assign }) {
  const { box, from, to, above, below, show } = useVirtual(items.length, ROW_PX);
  useEffect(() => {
    if (at >= 0) show(at);
  }, [at, show]);
  return html`<div class="board-scroll" ref=${box} tabindex="0" role="region" aria-label=${t("board.list", { count: items.length })}>
    <table class="board" aria-rowcount=${items.length + 1}>
      <thead><tr aria-rowindex="1">
        <th scope="col"><span class="hidden">${t("board.chosen")}</span></th><th scope="col">${t("board.what")}</th><th scope="col">${t("board.status")}</th>
        <th scope="col">${t("board.assignee")}</th><th scope="col">${t("board.due")}</th><th scope="col">${t("board.priority")}</th><th scope="col">${t("board.updated")}</th>
      </tr></thead>
      <tbody>
        ${above > 0 && html`<tr key="above" class="spacer" aria-hidden="true"><td colspan="7" style=${{ height: `${above}px` }}></td></tr>`}
        ${items.slice(from, to).map((item, place) => html`<${Row} key=${item.id} ...${{ item, index: from + place, at, chosen, writes, pick, open, toggle, setStatus, assign }} />`)}
        ${below > 0 && html`<tr key="below" class="spacer" aria-hidden="true"><td colspan="7" style=${{ height: `${below}px` }}></td></tr>`}
      </tbody>
    </table>
  </div>`;
}

/** @param {any} props */
function Row({ item, index, at, chosen, writes, pick, open, toggle, setStatus, assign }) {
  const name = `#${item.id} ${item.rule_id}`;
  return html`<tr id="item-${item.id}" class="${index === at ? "at" : ""} ${item.is_active ? "" : "closed"}" aria-rowindex=${index + 2} aria-selected=${chosen.has(item.id)} onClick=${() => pick(index)}>
    <td>${writes && html`<input type="checkbox" aria-label=${t("board.choose", { name })} checked=${chosen.has(item.id)} onChange=${() => toggle(item)} />`}</td>
    <td class="cut"><button type="button" class="plain link" onClick=${() => open(item)}>${name}</button> <span class="quiet" title=${item.reason}>${item.subject && `${item.subject} ${item.version} · `}${item.reason}</span></td>
    <td>${writes && item.is_active
      ? html`<select aria-label=${t("board.status-of", { name })} value=${item.status} onChange=${(/** @type {any} */ event) => setStatus(item, event.target.value)}>${STATUSES.map((one) => html`<option value=${one} selected=${one === item.status}>${word("item", one)}</option>`)}</select>`
      : html`<${StatusOf} item=${item} />`}</td>
    <td>${writes && item.is_active
      ? html`<button type="button" class="plain" aria-label=${t("board.assign-of", { name, who: item.assignee ?? t("board.nobody") })} onClick=${() => assign(item)}>${item.assignee ?? html`<span class="quiet">${t("board.nobody")}</span>`}</button>`
      : (item.assignee ?? "–")}</td>
    <td>${item.paused_at ? html`<${Chip} kind="info" title=${item.pause_reason}>${t("board.paused")}<//>` : html`<${Due} at=${item.due_at} done=${!item.is_active} />`}</td>
    <td class="number">${number(item.priority)}</td>
    <td class="quiet"><${When} at=${item.updated_at} /></td>
  </tr>`;
}

/** @param {{item: any}} props */
export function StatusOf({ item }) {
  if (!item.is_active) return html`<${Chip} kind="good">${t("board.resolved")}<//>`;
  const kind = item.status === "blocked" ? "bad" : item.status === "done" ? "info" : item.status === "in_progress" ? "warn" : "none";
  return html`<${Chip} kind=${kind}>${word("item", item.status)}<//>`;
}

export { STATUSES };
