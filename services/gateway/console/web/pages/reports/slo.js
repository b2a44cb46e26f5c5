// How well Headgate itself answers: error budgets and how fast they burn, and the latency of each route.
import { html } from "../../vendor/preact.js";
import { useAsked } from "../../api/asking.js";
import { Title } from "../../parts/layout.js";
import { Chip } from "../../parts/marks.js";
import { Empty, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { number, t, word } from "../../words/index.js";
import { ReportTabs } from "../reports.js";

const KINDS = { ok: "good", no_data: "none", ticket: "warn", warning: "warn", spent: "bad", page: "bad", critical: "bad" };
const LOOK_MS = 60_000;
const SPANS = ["15", "60", "360", "1440"];
const kind = (/** @type {string} */ status) => KINDS[/** @type {keyof typeof KINDS} */ (status)] ?? "none";
/** Never rounded to a whole: 99.6 % and 100 % are not the same here. */
const percent = (/** @type {number|null} */ value) => (value === null ? "–" : `${number(value, { maximumFractionDigits: 2, roundingMode: "trunc" })} %`);
const digits = (/** @type {number|null} */ value, /** @type {string} */ unit) => (value === null ? "–" : `${number(value, { maximumFractionDigits: value < 10 ? 2 : 0 })}${unit}`);

export default function Slos() {
  const asked = useAsked("/api/ops/slo", { on: ["metrics.slo.changed"], every: LOOK_MS });
  return html`<${Title}>${t("slo.title")}<//><${ReportTabs} />
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => (found.items.length ? html`<div class="cards">${found.items.map((/** @type {any} */ one) => html`<${Slo} key=${one.name} one=${one} />`)}</div>` : html`<${Empty} title=${t("slo.empty")} />`)}<//><${Latency} />`;
}

/** @param {{one: any}} props */
function Slo({ one }) {
  const left = one.budget_left_percent;
  const fires = (/** @type {string} */ window) => one.alerts.some((/** @type {any} */ alert) => alert.firing && [alert.short_window, alert.long_window].includes(window));
  return html`<section class="panel"><h2>${one.title} <${Chip} kind=${kind(one.status)}>${word("slo.status", one.status)}<//></h2>
    <p class="quiet">${one.description}</p><p>${one.message}</p>
    <label class="progress">${t("slo.left")} <meter min="0" max="100" low="25" high="50" optimum="100" value=${Math.max(0, left ?? 0)}></meter><span class="mono">${percent(left)}</span></label>
    <dl class="facts"><dt>${t("slo.good")}</dt><dd>${percent(one.good_percent)} ${t("slo.of-target", { target: one.target_percent })}</dd><dt>${t("slo.counted")}</dt><dd>${t("slo.bad-of", { bad: one.bad_count, all: one.sample_count })} (${one.period})</dd><dt>${t("slo.since")}</dt><dd><${When} at=${one.since} /></dd></dl>
    <details><summary>${t("slo.burn")}</summary><div class="scroll" tabindex="0"><table><thead><tr><th scope="col">${t("slo.window")}</th><th scope="col" class="number">${t("slo.requests")}</th><th scope="col" class="number">${t("slo.bad")}</th><th scope="col" class="number">${t("slo.rate")}</th></tr></thead>
      <tbody>${one.windows.map((/** @type {any} */ window) => html`<tr><th scope="row">${window.window}</th><td class="number">${number(window.sample_count)}</td><td class="number">${number(window.bad_count)}</td><td class="number">${digits(window.burn_rate, "×")}${fires(window.window) && html` <${Chip} kind="bad">${t("slo.fires")}<//>`}</td></tr>`)}</tbody></table></div></details>
  </section>`;
}

function Latency() {
  const [span, setSpan] = useQueryValue("minutes", "60");
  const asked = useAsked(`/api/ops/performance/api-latency?window_minutes=${SPANS.includes(span) ? span : "60"}`, { every: LOOK_MS });
  return html`<section class="panel"><div class="title"><h2>${t("slo.latency")}</h2><label>${t("slo.window")} <select value=${span} onChange=${(/** @type {any} */ event) => setSpan(event.target.value)}>${SPANS.map((one) => html`<option value=${one} selected=${one === span}>${t("slo.minutes", { count: Number(one) })}</option>`)}</select></label></div>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<p><${Chip} kind=${kind(found.burn_rate.status)}>${word("slo.status", found.burn_rate.status)}<//> ${found.burn_rate.message}</p>
      <div class="scroll" tabindex="0"><table><thead><tr><th scope="col">${t("slo.route")}</th><th scope="col">${t("slo.state")}</th>${["requests", "errors", "slow", "p50", "p95", "p99"].map((name) => html`<th scope="col" class="number">${t(`slo.${name}`)}</th>`)}</tr></thead>
      <tbody>${found.endpoints.toSorted((/** @type {any} */ one, /** @type {any} */ other) => (other.p95_ms ?? Infinity) - (one.p95_ms ?? Infinity)).map((/** @type {any} */ one) => html`<tr key=${one.endpoint_key}><th scope="row" class="mono">${one.endpoint_key}</th><td><${Chip} kind=${kind(one.status)} title=${one.message}>${word("slo.status", one.status)}<//></td>
        ${[one.sample_count, one.error_count, one.slow_count].map((value) => html`<td class="number">${number(value)}</td>`)}${[one.p50_ms, one.p95_ms, one.p99_ms].map((value) => html`<td class="number">${digits(value, " ms")}</td>`)}</tr>`)}</tbody></table></div>`}<//></section>`;
}
