// The board as a table: thousands of rows, one of them under the keys.
import { Component, html, useEffect, useRef } from "../../vendor/preact.js";
import { Chip } from "../../parts/marks.js";
import { Never, deadline, moment, relative, useNow } from "../../parts/when.js";
import { useVirtual } from "../../parts/virtual.js";
import { number, t, word } from "../../words/index.js";

const ROW_PX = 44;
export const STATUSES = ["pending", "in_progress", "blocked", "done"];
const HEADS = ["board.what", "board.status", "board.assignee", "board.due", "board.priority", "board.updated"];

/**
 * @typedef {{pick: (item: any, index: number) => void, open: (item: any) => void, toggle: (item: any) => void,
 *   setStatus: (item: any, status: string) => void, assign: (item: any) => void}} Deeds
 * @param {{items: any[], at: number, chosen: Set<number>, writes: boolean} & Deeds} props
 */
export function Table({ items, at, chosen, writes, ...deeds }) {
  const { box, from, to, fast, show } = useVirtual(items.length, ROW_PX);
  const now = useNow();
  const latest = useRef(deeds); // rows are not drawn anew because a deed is
  latest.current = deeds;
  const held = useRef(/** @type {number|null} */ (null)); // the item in whose row the focus is: it stays while others go
  useEffect(() => {
    if (at >= 0) show(at);
  }, [items[at]?.id, show]); // not when others push it down: somebody may be looking elsewhere
  const row = (/** @type {any} */ item, /** @type {number} */ index) =>
    html`<${Row} key=${item.id} item=${item} index=${index} here=${index === at} chosen=${chosen.has(item.id)} writes=${writes} now=${now} simply=${fast && index !== at} deeds=${latest} />`;
  const rows = items.slice(from, to).map((item, place) => row(item, from + place));
  const kept = held.current === null ? -1 : items.findIndex((one) => one.id === held.current);
  if (kept >= to) rows.push(row(items[kept], kept));
  else if (kept >= 0 && kept < from) rows.unshift(row(items[kept], kept));
  const focused = (/** @type {any} */ event) => {
    held.current = Number(event.target.closest("tr").id.slice("item-".length));
  };
  // The roles stand in words, since rows that are laid out one by one are no rows of a table to browsers.
  return html`<div class="board-scroll" ref=${box} tabindex="0" role="region" aria-label=${t("board.list", { count: items.length })}>
    <table class="board" role="table" aria-rowcount=${items.length + 1}>
      <thead role="rowgroup"><tr role="row" aria-rowindex="1">
        <th role="columnheader" scope="col"><span class="hidden">${t("board.chosen")}</span></th>${HEADS.map((head) => html`<th role="columnheader" scope="col">${t(head)}</th>`)}
      </tr></thead>
      <tbody role="rowgroup" style=${{ height: `${items.length * ROW_PX}px` }} onFocusIn=${focused} onFocusOut=${() => { held.current = null; }}>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

/** A row. Drawn anew only when it has changed: many are passed by in a second.
 * @typedef {{item: any, index: number, here: boolean, chosen: boolean, writes: boolean, now: number, simply: boolean, deeds: {current: Deeds}}} RowProps */
class Row extends Component {
  whole = false;

  /** @param {any} next */
  shouldComponentUpdate(next) {
    const before = /** @type {any} */ (this.props);
    return Object.keys(next).some((name) => next[name] !== before[name] && (name !== "simply" || !this.whole));
  }

  /** @param {any} props */
  render({ item, index, here, chosen, writes, now, simply, deeds }) {
    const name = `#${item.id} ${item.rule_id}`;
    const style = { top: `${index * ROW_PX}px` };
    this.whole ||= !simply; // and stays so: somebody may be at it
    if (!this.whole) {
      return html`<tr role="row" class="simply ${item.is_active ? "" : "closed"}" style=${style} aria-rowindex=${index + 2}><td role="cell"></td><td role="cell">${name} ${item.reason}</td><td role="cell">${word("item", item.status)}</td>
        <td role="cell">${item.assignee}</td><td role="cell">${item.due_at && relative(Date.parse(item.due_at), now)}</td><td role="cell" class="number">${number(item.priority)}</td><td role="cell">${relative(Date.parse(item.updated_at), now)}</td></tr>`;
    }
    const mayWrite = writes && item.is_active;
    return html`<tr role="row" id="item-${item.id}" class="${here ? "at" : ""} ${item.is_active ? "" : "closed"}" style=${style} aria-rowindex=${index + 2} aria-selected=${chosen} onClick=${() => deeds.current.pick(item, index)}>
      <td role="cell">${writes && html`<input type="checkbox" aria-label=${t("board.choose", { name })} checked=${chosen} onChange=${() => deeds.current.toggle(item)} />`}</td>
      <td role="cell" class="cut"><button type="button" class="plain link" onClick=${() => deeds.current.open(item)}>${name}</button> <span class="quiet" title=${item.reason}>${item.subject && `${item.subject} ${item.version} · `}${item.reason}</span></td>
      <td role="cell">${mayWrite
        ? html`<select aria-label=${t("board.status-of", { name })} value=${item.status} onChange=${(/** @type {any} */ event) => deeds.current.setStatus(item, event.target.value)}>${STATUSES.map((one) => html`<option value=${one} selected=${one === item.status}>${word("item", one)}</option>`)}</select>`
        : html`<${StatusOf} item=${item} />`}</td>
      <td role="cell">${mayWrite
        ? html`<button type="button" class="plain" aria-label=${t("board.assign-of", { name, who: item.assignee ?? t("board.nobody") })} onClick=${() => deeds.current.assign(item)}>${item.assignee ?? html`<span class="quiet">${t("board.nobody")}</span>`}</button>`
        : (item.assignee ?? "–")}</td>
      <td role="cell">${item.paused_at ? html`<${Chip} kind="info" title=${item.pause_reason}>${t("board.paused")}<//>` : item.due_at ? deadline(item.due_at, now, !item.is_active) : html`<${Never} />`}</td>
      <td role="cell" class="number">${number(item.priority)}</td>
      <td role="cell" class="quiet">${moment(item.updated_at, now)}</td>
    </tr>`;
  }
}

/** @param {{item: any}} props */
export function StatusOf({ item }) {
  if (!item.is_active) return html`<${Chip} kind="good">${t("board.resolved")}<//>`;
  const kind = item.status === "blocked" ? "bad" : item.status === "done" ? "info" : item.status === "in_progress" ? "warn" : "none";
  return html`<${Chip} kind=${kind}>${word("item", item.status)}<//>`;
}
