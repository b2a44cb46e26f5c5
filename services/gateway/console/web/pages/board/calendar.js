// What is due on which day of a month, in the reader's zone, and on which days no deadline runs at the site.
import { html } from "../../vendor/preact.js";
import { sited, useAsked } from "../../api/asking.js";
import { useNow } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { languageNow, number, t } from "../../words/index.js";
import { isLate } from "./items.js";

const FEW = 4;
const CLOSED = "/api/ops/governance/gate/remediation/tracker/sla/calendar/closed-days";
const key = (/** @type {Date} */ day) => `${day.getFullYear()}-${String(day.getMonth() + 1).padStart(2, "0")}-${String(day.getDate()).padStart(2, "0")}`;

/** @param {{items: any[], open: (item: any) => void, pickDay: (day: string) => void}} props */
export function Calendar({ items, open, pickDay }) {
  const now = useNow();
  const [month, setMonth] = useQueryValue("month", key(new Date(now)).slice(0, 7));
  const [year, of] = month.split("-").map(Number);
  const first = new Date(year || new Date(now).getFullYear(), (of || 1) - 1, 1);
  const begin = new Date(first.getFullYear(), first.getMonth(), 1 - ((first.getDay() + 6) % 7)); // weeks begin on Monday (ISO 8601)
  const days = Array.from({ length: 42 }, (_, place) => new Date(begin.getFullYear(), begin.getMonth(), begin.getDate() + place));
  /** @type {Map<string, any[]>} */
  const due = new Map();
  for (const item of items) if (item.is_active && item.due_at) due.set(key(new Date(item.due_at)), [...(due.get(key(new Date(item.due_at))) ?? []), item]);
  const move = (/** @type {number} */ by) => setMonth(key(new Date(first.getFullYear(), first.getMonth() + by, 1)).slice(0, 7));
  const asked = useAsked(sited(CLOSED, { first_day: key(begin), day_count: days.length }), { on: ["tracker.calendar.published"] });
  /** @type {Map<string, any>} */
  const closed = new Map((asked.data?.closed ?? []).map((/** @type {any} */ one) => [one.date, one]));
  const weekday = new Intl.DateTimeFormat(languageNow(), { weekday: "short" });
  return html`<section class="panel">
    <div class="bar"><button type="button" aria-label=${t("board.month-before")} onClick=${() => move(-1)}>←</button>
      <h2 aria-live="polite">${new Intl.DateTimeFormat(languageNow(), { year: "numeric", month: "long" }).format(first)}</h2>
      <button type="button" aria-label=${t("board.month-after")} onClick=${() => move(1)}>→</button></div>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("board.calendar")}><table class="month">
      <thead><tr>${days.slice(0, 7).map((day) => html`<th scope="col">${weekday.format(day)}</th>`)}</tr></thead>
      <tbody>${[0, 1, 2, 3, 4, 5].map((week) => html`<tr>${days.slice(week * 7, week * 7 + 7).map((day) => {
        const here = due.get(key(day)) ?? [];
        const shut = closed.get(key(day));
        return html`<td class="${shut ? "closed" : ""} ${day.getMonth() === first.getMonth() ? "" : "other"} ${key(day) === key(new Date(now)) ? "today" : ""}">
          <time datetime=${key(day)}>${day.getDate()}</time>${shut && html` <span class=${shut.name ? "shut" : "hidden"}>${shut.name ? t("board.closed.named", { name: shut.name }) : t("board.closed")}</span>`}
          <ul>${here.slice(0, FEW).map((item) => html`<li><button type="button" class="plain link ${isLate(item, now) ? "late" : ""}" title=${item.reason} onClick=${() => open(item)}>#${item.id} ${item.rule_id}</button></li>`)}</ul>
          ${here.length > FEW && html`<button type="button" class="plain" onClick=${() => pickDay(key(day))}>${t("board.further", { count: here.length - FEW })} (${number(here.length)})</button>`}
        </td>`;
      })}</tr>`)}</tbody>
    </table></div>
    ${closed.size > 0 && html`<p class="quiet"><span class="swatch closed" aria-hidden="true"></span> ${t("board.closed.about", { zone: asked.data.zone })}</p>`}
    ${asked.data?.problem && html`<p class="stale" role="status">${asked.data.problem}</p>`}
    ${asked.problem && html`<p class="stale" role="status">${t("board.closed.unknown")} <button type="button" onClick=${asked.reload}>${t("reload")}</button></p>`}
  </section>`;
}
