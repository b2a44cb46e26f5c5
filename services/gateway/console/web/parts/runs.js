// Runs of jobs, as several pages show them: how one ended, how long it took, what it says of itself.
import { html } from "../vendor/preact.js";
import { number, word } from "../words/index.js";
import { Chip } from "./marks.js";

const KINDS = { success: "good", ok: "good", healthy: "good", warning: "warn", critical: "bad", failed: "bad", error: "bad" };
const SIGNS = { good: "✓", warn: "!", bad: "✕", none: "–" };

/** How a run or a check ended: `ok`, `success`, `warning`, … @param {{status: string|null|undefined}} props */
export function Outcome({ status }) {
  const kind = /** @type {keyof typeof SIGNS} */ (KINDS[/** @type {keyof typeof KINDS} */ (status)] ?? "none");
  return html`<${Chip} kind=${kind}><span aria-hidden="true">${SIGNS[kind]}</span> ${word("outcome", status ?? "none")}<//>`;
}

/** A span of time in the unit that fits. @param {number} ms */
export function span(ms) {
  const [unit, size] = ms < 1_000 ? ["millisecond", 1] : ms < 60_000 ? ["second", 1_000] : ms < 3_600_000 ? ["minute", 60_000] : ["hour", 3_600_000];
  return number(ms / Number(size), { style: "unit", unit: String(unit), unitDisplay: "short", maximumFractionDigits: ms < 1_000 ? 0 : 1 });
}

/** @param {{started_at: string, finished_at: string}} run */
export const took = (run) => Date.parse(run.finished_at) - Date.parse(run.started_at);

/** What a run says of itself: plain values as a list, the whole as JSON. @param {{detail: Record<string, any>, open?: boolean, label: string}} props */
export function Detail({ detail, open, label }) {
  const plain = Object.entries(detail).filter(([, value]) => value === null || typeof value !== "object");
  return html`
    ${plain.length > 0 && html`<dl class="facts">${plain.map(([name, value]) => html`<dt class="mono">${name}</dt><dd>${String(value ?? "–")}</dd>`)}</dl>`}
    <details open=${open}><summary>${label}</summary><pre tabindex="0">${JSON.stringify(detail, null, 2)}</pre></details>`;
}
