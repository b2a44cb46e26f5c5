// Marks: verdicts, statuses, small charts. Colour never says anything alone.
import { html } from "../vendor/preact.js";
import { t, word } from "../words/index.js";

const SIGNS = { GO: "✓", GO_WITH_WARNINGS: "!", NO_GO: "✕" };

/** @param {{verdict: string|null|undefined, big?: boolean}} props */
export function Verdict({ verdict, big }) {
  const kind = verdict === "GO" ? "good" : verdict === "GO_WITH_WARNINGS" ? "warn" : verdict === "NO_GO" ? "bad" : "none";
  return html`<span class="verdict ${kind} ${big ? "big" : ""}"><span aria-hidden="true">${SIGNS[/** @type {keyof typeof SIGNS} */ (verdict)] ?? "–"}</span> ${verdict ? word("verdict", verdict) : t("verdict.none")}</span>`;
}

/** A status with its word: `kind` is good, warn, bad, info or none. @param {{kind: string, children: any, title?: string}} props */
export const Chip = ({ kind, children, title }) => html`<span class="chip ${kind}" title=${title}>${children}</span>`;

const RULE_KINDS = { pass: "good", fail: "bad", warning: "warn", waived: "info", shadow: "none" };

/** @param {{status: string}} props */
export const RuleStatus = ({ status }) => html`<${Chip} kind=${RULE_KINDS[/** @type {keyof typeof RULE_KINDS} */ (status)] ?? "none"}>${word("rule", status)}<//>`;

/** A line of numbers from 0 to `top`. @param {{values: number[], top?: number, label: string}} props */
export function Sparkline({ values, top = 100, label }) {
  if (values.length < 2) return null;
  const step = 100 / (values.length - 1);
  const points = values.map((value, place) => `${(place * step).toFixed(1)},${(28 - (Math.max(0, Math.min(value, top)) / top) * 26).toFixed(1)}`);
  return html`<svg class="sparkline" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label=${label}><polyline points=${points.join(" ")} /></svg>`;
}
