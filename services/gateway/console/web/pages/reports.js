// Quality reports: what jobs, checks, alerts and duties came to in a week or a month, and the reports that were kept.
import { html } from "../vendor/preact.js";
import { address, order } from "../api/client.js";
import { useAsked, useOrder } from "../api/asking.js";
import { mayAll } from "../api/session.js";
import { Chart } from "../parts/chart.js";
import { Title } from "../parts/layout.js";
import { Tabs } from "../parts/looking.js";
import { Chip } from "../parts/marks.js";
import { say } from "../parts/notices.js";
import { Refused, Shown } from "../parts/states.js";
import { When, local } from "../parts/when.js";
import { useQueryValue } from "../router.js";
import { languageNow, number, t, word } from "../words/index.js";

const AT = "/api/ops/reports/quality";
const HEARD = ["operations.quality.reported"];
const KINDS = { success: "good", warning: "warn", critical: "bad", failed: "bad" };

export const ReportTabs = () => html`<${Tabs} label=${t("reports.title")} tabs=${[["/reports", t("reports.title")], ["/reports/slo", t("slo.title")]]} />`;
/** What could not be read is no 0. @param {number|null|undefined} value */
const or = (value) => (value === null || value === undefined ? "–" : number(value));
/** @param {number|null|undefined} value */
const percent = (value) => (value === null || value === undefined ? "–" : `${number(value, { maximumFractionDigits: 1, roundingMode: "trunc" })} %`);

export default function Reports() {
  const [span, setSpan] = useQueryValue("window", "weekly");
  const [month, setMonth] = useQueryValue("month");
  const monthly = span === "monthly";
  const asked = useAsked(address(`${AT}/${monthly ? "monthly" : "weekly"}`, monthly ? { month } : {}), { on: HEARD });
  const file = (/** @type {string} */ kind) => address(`${AT}/${monthly ? "monthly" : "weekly"}/${kind}`, { ...(monthly ? { month } : {}), ...(kind === "html" ? { language: languageNow() } : {}) });
  const kept = useAsked(`${AT}/archive?limit=50`, { on: HEARD });
  const { busy, problem, run } = useOrder();
  const make = () => run(() => order("POST", address(`${AT}/run`, { window: monthly ? "monthly" : "weekly", month: monthly ? month : "" }))).then((made) => {
    if (!made) return;
    say(t("reports.made", { label: made.label }));
    kept.reload();
  });
  const side = html`<label>${t("reports.window")} <select value=${span} onChange=${(/** @type {any} */ event) => setSpan(event.target.value)}>${["weekly", "monthly"].map((one) => html`<option value=${one} selected=${one === span}>${t(`reports.${one}`)}</option>`)}</select></label>
    ${monthly && html`<label>${t("reports.month")} <input type="month" value=${month} pattern="[0-9]{4}-[0-9]{2}" placeholder="2026-10" onChange=${(/** @type {any} */ event) => event.target.validity.valid && setMonth(event.target.value)} /></label>`}
    <a class="button" href=${file("html")} target="_blank" rel="noopener">HTML</a><a class="button" href=${file("csv")} download>CSV</a>
    ${mayAll("operations:run") && html`<button type="button" disabled=${busy} aria-busy=${busy} onClick=${make}>${t("reports.make")}</button>`}`;
  return html`<${Title} side=${side}>${t("reports.title")}<//><${ReportTabs} />
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Report} found=${found} />`}<//><${Kept} asked=${kept} />`;
}

/** @param {{found: any}} props */
function Report({ found }) {
  const { summary, weekly_streak: streak } = found;
  const weeks = streak.weeks.toReversed();
  const figures = [
    [t("reports.runs"), or(summary.job_runs_total)], [t("reports.findings"), or(summary.critical_findings_total)],
    [t("reports.alerts"), `${or(summary.alert_delivery_total)} · ${percent(summary.alert_delivery_success_rate_percent)}`],
    [t("reports.duties"), found.duties ? `${number(found.duties.open_count)} · ${t("reports.unassigned", { count: found.duties.unassigned_open_count })}` : "–"],
    [t("reports.gates"), found.gates ? t("reports.gates.of", { go: found.gates.go_count, no: found.gates.no_go_count }) : "–"],
    [t("reports.security"), found.admin_security ? `${found.admin_security.level} (${number(found.admin_security.score)})` : "–"],
    [t("reports.streak"), t("reports.streak.of", { now: streak.current_streak_weeks, target: streak.target_weeks })],
  ];
  const missing = found.parts.filter((/** @type {any} */ one) => one.state === "missing");
  return html`<p class="quiet">${local(found.period.start)} – ${local(found.period.end)} ${!found.period.is_over && t("reports.running")}</p>
    ${!found.complete && html`<div class="stale"><p>${t("reports.incomplete")}</p><ul>${missing.map((/** @type {any} */ one) => html`<li><code>${one.name}</code> ${one.reason}</li>`)}</ul></div>`}
    <dl class="tiles-small">${figures.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${found.recommendations.length > 0 && html`<section class="panel"><h2>${t("reports.advice")}</h2><ul>${found.recommendations.map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul></section>`}
    <section class="panel"><h2>${t("reports.jobs")}</h2><div class="scroll" tabindex="0"><table><thead><tr><th scope="col">${t("reports.job")}</th>${["total", "success", "warning", "critical", "failed", "rate"].map((name) => html`<th scope="col" class="number">${t(`reports.job.${name}`)}</th>`)}</tr></thead>
      <tbody>${summary.jobs.map((/** @type {any} */ one) => html`<tr key=${one.job_name}><th scope="row" class="mono">${one.job_name}</th>${["total", "success", "warning", "critical", "failed"].map((name) => html`<td class="number">${number(one[name])}</td>`)}<td class="number">${percent(one.success_rate_percent)}</td></tr>`)}</tbody></table></div></section>
    <section class="panel"><h2>${t("reports.weeks")}</h2><${Chart} label=${t("reports.findings")} times=${weeks.map((/** @type {any} */ one) => Date.parse(one.week_start))} values=${weeks.map((/** @type {any} */ one) => one.critical_findings_total)} /></section>`;
}

/** The reports that were made, with their files. @param {{asked: import("../api/asking.js").Asked}} props */
function Kept({ asked }) {
  const files = /** @type {[string, string, string][]} */ ([["json", "JSON", "json_file"], ["csv", "CSV", "csv_file"], [languageNow() === "ko" ? "html_ko" : "html", "HTML", languageNow() === "ko" ? "html_ko_file" : "html_file"]]);
  return html`<section class="panel"><h2>${t("reports.kept")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ found) => (found.rows.length ? html`<div class="scroll" tabindex="0"><table class="rows"><thead><tr>${["label", "made-at", "state", "counts", "findings", "files"].map((name) => html`<th scope="col">${t(`reports.${name}`)}</th>`)}</tr></thead>
    <tbody>${found.rows.map((/** @type {any} */ one) => html`<tr key=${one.run_id}><th scope="row">${one.label}</th><td><${When} at=${one.made_at} how="date" /></td><td><${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (one.status)] ?? "none"}>${word("reports.status", one.status)}<//></td>
      <td>${t(one.counts_for_streak ? "yes" : "no")}</td><td>${or(one.critical_findings_total)}</td><td>${one.archive_error ?? files.map(([kind, text, name]) => one[name] && html`<a href="${AT}/archive/${one.run_id}?kind=${kind}" download=${one[name]} aria-label="${text} ${one.label}">${text}</a> `)}</td></tr>`)}</tbody></table></div>` : html`<p class="quiet">${t("reports.kept.empty")}</p>`)}<//></section>`;
}
