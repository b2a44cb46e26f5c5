// Small parts of pages that people look things up in: tabs, progress, files.
import { html } from "../vendor/preact.js";
import { BASE, usePlace } from "../router.js";
import { number, t } from "../words/index.js";

/** Pages that belong together, as links. @param {{label: string, tabs: [string, string][]}} props path and text of each */
export function Tabs({ label, tabs }) {
  const { path } = usePlace();
  return html`<nav class="tabs" aria-label=${label}>${tabs.map(([to, text]) => html`<a href=${BASE + to} aria-current=${path === to ? "page" : undefined}>${text}</a>`)}</nav>`;
}

/** How far something is. @param {{done: number, total: number, label: string}} props */
export function Progress({ done, total, label }) {
  const share = total ? Math.min(1, done / total) : 1;
  return html`<label class="progress"><span class="hidden">${label}</span><progress max="1" value=${share}></progress>
    <span class="mono">${t("looking.of", { done, total })} · ${number(share, { style: "percent" })}</span></label>`;
}

/** A size in the unit that fits. @param {number|null|undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return number(bytes / 1000 ** step, { style: "unit", unit: units[step], maximumFractionDigits: 1 });
}

/** A length of time in the unit that fits. @param {number|null|undefined} ms */
export function lasted(ms) {
  if (ms === null || ms === undefined) return "–";
  const [value, unit] = ms < 1_000 ? [ms, "millisecond"] : ms < 90_000 ? [ms / 1_000, "second"] : ms < 5_400_000 ? [ms / 60_000, "minute"] : [ms / 3_600_000, "hour"];
  return number(value, { style: "unit", unit, maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** A long value that is rarely read whole, such as a hash. @param {{text: string|null|undefined}} props */
export const Hash = ({ text }) => html`<code class="hash" title=${text ?? ""}>${text ? (text.length > 20 ? `${text.slice(0, 16)}…` : text) : "–"}</code>`;
