// Checks of the installation: the runbook, day by day and now; the preflight; what is up; evidence read anew.
import { html } from "../vendor/preact.js";
import { order } from "../api/client.js";
import { useAsked, useOrder } from "../api/asking.js";
import { mayAll, mayAnywhere } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { say } from "../parts/notices.js";
import { Outcome } from "../parts/runs.js";
import { Empty, Refused, Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE, useQueryValue } from "../router.js";
import { number, t, word } from "../words/index.js";
import { askIfThere } from "./checks/asking.js";
import { Integrity } from "./checks/integrity.js";
import { Preflight, Readiness } from "./checks/preflight.js";

const RUNBOOK = "/api/ops/runbook/checks";
const HEARD = ["operations.job.finished"];
const VIEWS = { daily: Daily, now: Now, preflight: Preflight, readiness: Readiness, integrity: Integrity };
const ORDER = { critical: 0, warning: 1, ok: 2 };

export default function Checks() {
  const [view] = useQueryValue("view", "daily");
  const wanted = /** @type {keyof typeof VIEWS} */ (view in VIEWS ? view : "daily");
  return html`<${Title}>${t("checks.title")}<//>
    <nav class="tabs" aria-label=${t("checks.views")}>${Object.keys(VIEWS).filter((one) => one !== "readiness" || mayAnywhere("status:read")).map(
      (one) => html`<a href="${BASE}/checks${one === "daily" ? "" : `?view=${one}`}" aria-current=${one === wanted ? "page" : undefined}>${t(`checks.view.${one}`)}</a>`,
    )}</nav><${VIEWS[wanted]} />`;
}

/** The newest daily check, a button for another, and the files of those before. */
function Daily() {
  const asked = useAsked(`${RUNBOOK}/latest`, { on: HEARD, ask: askIfThere });
  const files = useAsked(`${RUNBOOK}/archive.json?limit=60`, { on: HEARD });
  const { busy, problem, run } = useOrder();
  const make = async () => {
    if (!(await run(() => order("POST", `${RUNBOOK}/run`)))) return;
    say(t("checks.made"));
    asked.reload();
    files.reload();
  };
  return html`<div class="bar">
      ${mayAll("operations:run") && html`<button type="button" class="primary" disabled=${busy} aria-busy=${busy} onClick=${make}>${t("checks.run")}</button>`}
      <p class="quiet">${t("checks.daily.what")}</p></div>
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => found
      ? html`<section class="panel"><h2>${t("checks.newest")}</h2>
          <p><${Outcome} status=${found.overall_status} /> <${When} at=${found.checked_at} how="both" /> · ${word("trigger", found.trigger)}${found.alert.attempted ? ` · ${t("checks.told")}` : ""}</p>
          ${found.archive.error && html`<p class="refused">${t("checks.no-file")} ${found.archive.error}</p>`}
          <${Found} checks=${found.checks} /></section>`
      : html`<${Empty} title=${t("checks.never")}><p>${t("checks.never.more")}</p><//>`}<//>
    <section class="panel"><div class="title"><h2>${t("checks.files")}</h2><a class="button" href="${RUNBOOK}/archive.csv?limit=365" download>CSV</a></div>
      <${Shown} asked=${files}>${(/** @type {any} */ found) => (found.rows.length ? html`<${Files} rows=${found.rows} />` : html`<p class="quiet">${t("checks.files.none")}</p>`)}<//></section>`;
}

/** Every check made at this moment, told to nobody and kept nowhere. */
function Now() {
  const asked = useAsked(RUNBOOK);
  return html`<div class="bar"><button type="button" disabled=${asked.loading} aria-busy=${asked.loading} onClick=${asked.reload}>${t("checks.again")}</button><p class="quiet">${t("checks.now.what")}</p></div>
    <${Shown} asked=${asked} label=${t("checks.checking")}>${(/** @type {any} */ found) => html`<section class="panel"><h2>${t("checks.view.now")}</h2>
      <p><${Outcome} status=${found.overall_status} /> <${When} at=${found.generated_at} how="both" /></p><${Found} checks=${found.checks} /></section>`}<//>`;
}

/** Checks with what is not ok first. @param {{checks: any[]}} props */
function Found({ checks }) {
  const sorted = [...checks].sort((one, other) => ORDER[/** @type {keyof typeof ORDER} */ (one.status)] - ORDER[/** @type {keyof typeof ORDER} */ (other.status)]);
  const bad = sorted.filter((one) => one.status !== "ok");
  const good = sorted.filter((one) => one.status === "ok");
  return html`
    ${bad.length ? html`<ul class="changes">${bad.map((one) => html`<li key=${one.id} class="check"><${Outcome} status=${one.status} /><div><strong class="mono">${one.id}</strong><p>${one.message}</p><p class="quiet">${t("checks.do")} ${one.action}</p></div></li>`)}</ul>` : html`<p>${t("checks.all-ok", { count: checks.length })}</p>`}
    ${good.length > 0 && html`<details><summary>${t("checks.ok-too", { count: good.length })}</summary><ul class="changes">${good.map((one) => html`<li key=${one.id}><${Outcome} status="ok" /> <span class="mono">${one.id}</span> <span class="quiet">${one.message}</span></li>`)}</ul></details>`}`;
}

/** @param {{rows: any[]}} props */
function Files({ rows }) {
  const file = (/** @type {any} */ one, /** @type {string} */ kind) => `${RUNBOOK}/archive/${one.run_id}?kind=${kind}`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("checks.files")}><table class="ops-rows">
    <thead><tr><th scope="col">${t("jobs.finished")}</th><th scope="col">${t("checks.result")}</th><th scope="col" class="number">${t("checks.warnings")}</th><th scope="col" class="number">${t("checks.criticals")}</th><th scope="col">${t("jobs.by")}</th><th scope="col">${t("checks.file")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr key=${one.run_id}>
      <th scope="row"><${When} at=${one.finished_at} how="both" /></th><td><${Outcome} status=${one.overall_status} /></td>
      <td class="number">${number(one.warning_count)}</td><td class="number">${number(one.critical_count)}</td><td>${word("trigger", one.trigger)}</td>
      <td>${one.archive_json_file && html`<a href=${file(one, "json")} download title=${one.archive_json_sha256}>JSON</a>`} ${one.archive_csv_file && html`<a href=${file(one, "csv")} download title=${one.archive_csv_sha256}>CSV</a>`}${one.archive_error && html` <span class="late">${one.archive_error}</span>`}</td>
    </tr>`)}</tbody></table></div>`;
}
