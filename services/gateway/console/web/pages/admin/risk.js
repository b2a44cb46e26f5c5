// How risky the installation is run: the score with each point explained, who did what, and what to do.
import { html } from "../../vendor/preact.js";
import { path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Chip, Sparkline } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { BASE } from "../../router.js";
import { number, t, word } from "../../words/index.js";
import { Rows, Section } from "./parts.js";

const HEARD = ["operations.risk.", "operations.security_policy."];
const KINDS = { low: "good", medium: "warn", high: "bad", critical: "bad", ok: "good", warning: "warn" };
const kind = (/** @type {string} */ level) => KINDS[/** @type {keyof typeof KINDS} */ (level)] ?? "none";

export default function Risk() {
  const board = useAsked(sited("/api/admin/security-dashboard"), { on: HEARD });
  const posture = useAsked(may("operations:read") ? sited("/api/ops/security/posture") : null, { on: HEARD });
  return html`<${Section} title=${t("admin.risk")}>
    <${Shown} asked=${board}>${(/** @type {any} */ found) => html`<${Score} risk=${found.risk} trend=${found.trend} days=${found.window_days} />
      ${found.recommendations.length > 0 && html`<section class="panel"><h2>${t("admin.risk.do")}</h2><ul>${found.recommendations.map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul></section>`}
      <h2>${t("admin.risk.actors")}</h2><${Actors} actors=${found.top_actors} />`}<//>
    ${may("operations:read") && html`<h2>${t("admin.risk.guards")}</h2><${Shown} asked=${posture}>${(/** @type {any} */ found) => html`<${Guards} guards=${found.guards} />`}<//>`}<//>`;
}

/** @param {{risk: any, trend: any[], days: number}} props */
export function Score({ risk, trend, days }) {
  return html`<section class="panel"><h2>${t("admin.risk.score", { score: number(risk.score, { maximumFractionDigits: 1 }), days })} <${Chip} kind=${kind(risk.level)}>${word("admin.risk.level", risk.level)}<//></h2>
      ${!risk.complete && html`<p class="stale">${t("admin.risk.missing", { names: risk.missing.join(", ") })}</p>`}
      <${Sparkline} values=${trend.map((one) => one.score)} label=${t("admin.risk.trend", { values: trend.map((one) => number(one.score)).join(", ") })} /></section>
    <h2>${t("admin.risk.why")}</h2>
    <${Rows} rows=${risk.why} keyOf=${(/** @type {any} */ one) => one.rule} empty=${t("admin.risk.nothing")} label=${t("admin.risk.why")} columns=${[
      [t("admin.risk.what"), (/** @type {any} */ one) => one.message],
      [t("admin.risk.points"), (/** @type {any} */ one) => number(one.points, { maximumFractionDigits: 1 })],
      [t("admin.risk.do"), (/** @type {any} */ one) => one.action],
    ]} />`;
}

/** @param {{actors: any[]}} props */
const Actors = ({ actors }) => html`<${Rows} rows=${actors} keyOf=${(/** @type {any} */ one) => one.actor} empty=${t("admin.risk.nobody")} label=${t("admin.risk.actors")} columns=${[
  [t("admin.user"), (/** @type {any} */ one) => html`<a href=${BASE + path`/admin/risk/${one.actor}`}>${one.actor}</a>`],
  ...COUNTS.map((count) => [t(`admin.risk.${count}`), (/** @type {any} */ one) => number(one[`${count}_count`])]),
]} />`;

export const COUNTS = ["action", "failed", "refused", "sensitive", "off_hours"];

/** @param {{guards: any[]}} props */
const Guards = ({ guards }) => html`<${Rows} rows=${guards} keyOf=${(/** @type {any} */ one) => one.id} empty=${t("admin.none-found")} label=${t("admin.risk.guards")} columns=${[
  [t("admin.risk.guard"), (/** @type {any} */ one) => one.message],
  [t("admin.state"), (/** @type {any} */ one) => html`<${Chip} kind=${kind(one.status)}>${word("admin.risk.level", one.status)}<//>`],
  [t("admin.risk.do"), (/** @type {any} */ one) => one.action],
]} />`;
