// The board as columns by status. Cards are moved by their own control, so that a keyboard does what a mouse does.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { Due } from "../../parts/when.js";
import { Chip } from "../../parts/marks.js";
import { number, t, word } from "../../words/index.js";
import { STATUSES } from "./table.js";

const FIRST = 50; // cards of a column; more on demand, since nobody reads a column of thousands

/** @typedef {{at: number, chosen: Set<number>, writes: boolean, toggle: (item: any) => void, open: (item: any) => void, setStatus: (item: any, status: string) => void}} Rest
 * `at`: the number of the item under the keys */

/** What stands in each column. @param {any[]} items */
export const byStatus = (items) => STATUSES.map((status) => items.filter((one) => one.is_active && one.status === status));

/** @param {{items: any[]} & Rest} props */
export function Columns({ items, ...rest }) {
  useEffect(() => document.getElementById(`item-${rest.at}`)?.scrollIntoView({ block: "nearest", inline: "nearest" }), [rest.at]);
  return html`<div class="board-columns">${byStatus(items).map((found, place) => html`<${Column} key=${place} status=${STATUSES[place]} items=${found} ...${rest} />`)}</div>`;
}

/** @param {{status: string, items: any[]} & Rest} props */
function Column({ status, items, ...rest }) {
  const { at, writes, setStatus } = rest;
  const [wanted, setShown] = useState(FIRST);
  const shown = Math.max(wanted, items.findIndex((one) => one.id === at) + 1); // the keys go on where the drawn ones end
  const drop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    const item = dragged;
    if (item && item.status !== status) setStatus(item, status);
  };
  return html`<section class="board-column" onDragOver=${(/** @type {Event} */ event) => writes && event.preventDefault()} onDrop=${drop}>
    <h2>${word("item", status)} <span class="quiet">${number(items.length)}</span></h2>
    <ul>${items.slice(0, shown).map((item) => html`<${Card} key=${item.id} item=${item} ...${rest} />`)}</ul>
    ${items.length > shown && html`<button type="button" onClick=${() => setShown(shown + FIRST)}>${t("more")} (${number(items.length - shown)})</button>`}
    ${!items.length && html`<p class="quiet">${t("none")}</p>`}
  </section>`;
}

/** What is on its way by mouse. @type {any} */
let dragged = null;

/** @param {{item: any} & Rest} props */
function Card({ item, at, chosen, writes, toggle, open, setStatus }) {
  const name = `#${item.id} ${item.rule_id}`;
  return html`<li id="item-${item.id}" class="board-card ${item.id === at ? "at" : ""}" draggable=${writes} onDragStart=${() => (dragged = item)} onDragEnd=${() => (dragged = null)}>
    ${writes && html`<input type="checkbox" aria-label=${t("board.choose", { name })} checked=${chosen.has(item.id)} onChange=${() => toggle(item)} /> `}<button type="button" class="plain link" onClick=${() => open(item)}>${name}</button>
    <p class="quiet clamp">${item.reason}</p>
    <p class="tile-line"><span>${item.assignee ?? t("board.nobody")}</span>${item.paused_at ? html`<${Chip} kind="info">${t("board.paused")}<//>` : html`<${Due} at=${item.due_at} />`}</p>
    ${writes && html`<label class="card-move"><span class="hidden">${t("board.status-of", { name })}</span><select value=${item.status} onChange=${(/** @type {any} */ event) => setStatus(item, event.target.value)}>
      ${STATUSES.map((one) => html`<option value=${one} selected=${one === item.status}>${word("item", one)}</option>`)}</select></label>`}
  </li>`;
}
