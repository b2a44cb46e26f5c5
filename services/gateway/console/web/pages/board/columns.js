// The board as columns by status. Cards are moved by their own control, so that a keyboard does what a mouse does.
import { html, useState } from "../../vendor/preact.js";
import { Due } from "../../parts/when.js";
import { Chip } from "../../parts/marks.js";
import { number, t, word } from "../../words/index.js";
import { STATUSES } from "./table.js";

const FIRST = 50; // cards of a column; more on demand, since nobody reads a column of thousands

/** @param {{items: any[], writes: boolean, open: (item: any) => void, setStatus: (item: any, status: string) => void}} props */
export function Columns({ items, writes, open, setStatus }) {
  const active = items.filter((item) => item.is_active);
  return html`<div class="board-columns">${STATUSES.map((status) => html`<${Column} key=${status} status=${status} items=${active.filter((one) => one.status === status)} ...${{ writes, open, setStatus }} />`)}</div>`;
}

/** @param {{status: string, items: any[], writes: boolean, open: (item: any) => void, setStatus: (item: any, status: string) => void}} props */
function Column({ status, items, writes, open, setStatus }) {
  const [shown, setShown] = useState(FIRST);
  const drop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    const item = dragged;
    if (item && item.status !== status) setStatus(item, status);
  };
  return html`<section class="board-column" onDragOver=${(/** @type {Event} */ event) => writes && event.preventDefault()} onDrop=${drop}>
    <h2>${word("item", status)} <span class="quiet">${number(items.length)}</span></h2>
    <ul>${items.slice(0, shown).map((item) => html`<${Card} key=${item.id} ...${{ item, writes, open, setStatus }} />`)}</ul>
    ${items.length > shown && html`<button type="button" onClick=${() => setShown(shown + FIRST)}>${t("more")} (${number(items.length - shown)})</button>`}
    ${!items.length && html`<p class="quiet">${t("none")}</p>`}
  </section>`;
}

/** What is on its way by mouse. @type {any} */
let dragged = null;

/** @param {{item: any, writes: boolean, open: (item: any) => void, setStatus: (item: any, status: string) => void}} props */
function Card({ item, writes, open, setStatus }) {
  const name = `#${item.id} ${item.rule_id}`;
  return html`<li class="board-card" draggable=${writes} onDragStart=${() => (dragged = item)} onDragEnd=${() => (dragged = null)}>
    <button type="button" class="plain link" onClick=${() => open(item)}>${name}</button>
    <p class="quiet clamp">${item.reason}</p>
    <p class="tile-line"><span>${item.assignee ?? t("board.nobody")}</span>${item.paused_at ? html`<${Chip} kind="info">${t("board.paused")}<//>` : html`<${Due} at=${item.due_at} />`}</p>
    ${writes && html`<label class="card-move"><span class="hidden">${t("board.status-of", { name })}</span><select value=${item.status} onChange=${(/** @type {any} */ event) => setStatus(item, event.target.value)}>
      ${STATUSES.map((one) => html`<option value=${one} selected=${one === item.status}>${word("item", one)}</option>`)}</select></label>`}
  </li>`;
}
