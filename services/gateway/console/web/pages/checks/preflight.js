// What each service found of its configuration and surroundings, and which of them are up.
import { html, useState } from "../../vendor/preact.js";
import { useAsked } from "../../api/asking.js";
import { Outcome } from "../../parts/runs.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t } from "../../words/index.js";

const LOOK_MS = 15_000;

export function Preflight() {
  const [fresh, setFresh] = useState(false);
  const asked = useAsked(fresh ? "/api/ops/preflight?refresh=true" : "/api/ops/preflight", { on: fresh ? [] : ["operations.preflight.finished"] });
  const again = () => (fresh ? asked.reload() : setFresh(true));
  return html`<div class="bar"><button type="button" disabled=${asked.loading} aria-busy=${asked.loading} onClick=${again}>${t("checks.preflight.again")}</button><p class="quiet">${t("checks.preflight.what")}</p></div>
    <${Shown} asked=${asked} label=${t("checks.checking")}>${(/** @type {any} */ found) => html`
      <section class="panel"><h2>${t("checks.preflight.services")}</h2><p><${Outcome} status=${found.overall_status} /> <${When} at=${found.generated_at} how="both" />${found.fail_on_error ? ` · ${t("checks.preflight.ends")}` : ""}</p>
        <div class="scroll" tabindex="0" role="region" aria-label=${t("checks.preflight.services")}><table class="ops-rows">
          <thead><tr><th scope="col">${t("jobs.service")}</th><th scope="col">${t("checks.result")}</th><th scope="col">${t("checks.spoke")}</th><th scope="col">${t("checks.version")}</th><th scope="col" class="number">${t("checks.clock")}</th><th scope="col" class="number">${t("checks.count")}</th></tr></thead>
          <tbody>${found.services.map((/** @type {any} */ one) => html`<tr key="${one.service} ${one.instance}">
            <th scope="row">${one.service} <span class="quiet">${one.instance}</span></th><td><${Outcome} status=${one.overall_status} /></td><td><${When} at=${one.spoke_at} /></td><td>${one.headgate_version}</td>
            <td class="number">${one.clock_offset_ms === null ? "–" : number(one.clock_offset_ms, { style: "unit", unit: "millisecond", maximumFractionDigits: 1 })}</td><td class="number">${number(one.check_count)}</td></tr>`)}</tbody></table></div></section>
      <section class="panel"><h2>${t("checks.preflight.checks")}</h2><${Services} checks=${found.checks} /></section>`}<//>`;
}

/** @param {{checks: any[]}} props */
function Services({ checks }) {
  const bad = checks.filter((one) => one.status !== "ok");
  const good = checks.filter((one) => one.status === "ok");
  const line = (/** @type {any} */ one) => html`<li key="${one.service} ${one.id}"><${Outcome} status=${one.status} /> <span class="mono">${one.service} ${one.id}</span> <span class="quiet">${one.message}</span></li>`;
  return html`${bad.length ? html`<ul class="changes">${bad.map(line)}</ul>` : html`<p>${t("checks.all-ok", { count: checks.length })}</p>`}
    ${good.length > 0 && html`<details><summary>${t("checks.ok-too", { count: good.length })}</summary><ul class="changes">${good.map(line)}</ul></details>`}`;
}

/** Which services are up now, looked at again and again. */
export function Readiness() {
  const asked = useAsked("/api/status", { every: LOOK_MS });
  return html`<${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<section class="panel"><h2>${t("checks.view.readiness")}</h2>
    <p><${Outcome} status=${found.ready && found.all_up ? "ok" : found.ready ? "warning" : "critical"} /> ${t(found.ready ? (found.all_up ? "checks.ready" : "checks.some-down") : "checks.not-ready")}</p>
    <dl class="facts">
      ${Object.entries(found.checks).map(([name, said]) => html`<dt>${name}</dt><dd><${Outcome} status=${said === "ok" ? "ok" : "critical"} />${said === "ok" ? "" : ` ${said}`}</dd>`)}
      ${Object.entries(found.services).map(([name, said]) => html`<dt>${name}</dt><dd><${Outcome} status=${said === "up" ? "ok" : "critical"} />${said === "up" ? "" : ` ${said}`}</dd>`)}
    </dl>
    ${found.warnings.map((/** @type {string} */ one) => html`<p class="stale">${one}</p>`)}</section>`}<//>`;
}
