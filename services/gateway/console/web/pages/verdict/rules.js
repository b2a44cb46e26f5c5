// The rules of a verdict: what was seen and what was wanted; behind each its facts, trend and what it was before.
import { html, useState } from "../../vendor/preact.js";
import { path } from "../../api/client.js";
import { sited } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Download } from "../../parts/download.js";
import { RuleStatus, Sparkline } from "../../parts/marks.js";
import { When } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { number, t } from "../../words/index.js";
import { AskWaiver } from "./exceptions.js";

const ORDER = ["fail", "warning", "waived", "shadow", "pass"];

/** @param {{run: import("./run.js").Run, explained: import("../../api/asking.js").Asked}} props */
export function Rules({ run, explained }) {
  const [only, setOnly] = useQueryValue("rules");
  const rules = run.rules.filter((one) => !only || one.status === only).sort((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status));
  const by = new Map((explained.data?.rules ?? []).map((/** @type {any} */ one) => [one.rule_id, one]));
  const counts = ORDER.map((status) => [status, run.rules.filter((one) => one.status === status).length]).filter(([, count]) => count);
  return html`<section class="panel"><h2 id="rules">${t("verdict.rules")}</h2>
    <p class="rule-counts" role="group" aria-labelledby="rules">${counts.map(([status, count]) => html`<button type="button" class="plain" aria-pressed=${only === status} onClick=${() => setOnly(only === status ? "" : String(status))}>
      <${RuleStatus} status=${status} /> ${count}</button>`)}</p>
    <div class="scroll" role="region" tabindex="0" aria-labelledby="rules"><table class="rules">
      <thead><tr><th scope="col">${t("verdict.rule")}</th><th scope="col">${t("verdict.status")}</th><th scope="col">${t("verdict.observed")}</th><th scope="col">${t("verdict.wanted")}</th>
        <th scope="col" class="number wide">${t("verdict.weight")}</th><th scope="col" class="wide">${t("verdict.owner")}</th></tr></thead>
      ${rules.map((rule) => html`<${RuleRows} key=${rule.id} run=${run} rule=${rule} explained=${by.get(rule.id)} />`)}
    </table></div>
  </section>`;
}

/** @param {{run: any, rule: import("./run.js").Rule, explained: any}} props */
function RuleRows({ run, rule, explained }) {
  const [open, setOpen] = useState(false);
  return html`<tbody>
    <tr>
      <th scope="row"><button type="button" class="plain opener" aria-expanded=${open} onClick=${() => setOpen(!open)}><span aria-hidden="true">${open ? "▾" : "▸"}</span> ${rule.id}</button></th>
      <td><${RuleStatus} status=${rule.status} />${!rule.required && html` <span class="quiet">${t("verdict.optional")}</span>`}</td>
      <td>${rule.observed || "–"}</td><td>${rule.wanted || "–"}</td>
      <td class="number wide">${number(rule.weight)}</td>
      <td class="wide">${rule.owner_role || "–"}${rule.status !== "pass" && html` <span class="quiet">${t("verdict.sla", { hours: rule.sla_hours })}</span>`}</td>
    </tr>
    ${open && html`<tr class="more"><td colspan="6"><${Details} run=${run} rule=${rule} explained=${explained} /></td></tr>`}
  </tbody>`;
}

/** @param {{run: any, rule: import("./run.js").Rule, explained: any}} props */
function Details({ run, rule, explained }) {
  return html`<div class="rule-details">
    <p>${rule.message}</p>
    ${rule.notes.map((one) => html`<p class="quiet">${one}</p>`)}
    <dl class="facts">
      ${rule.action && html`<dt>${t("verdict.action")}</dt><dd>${rule.action}</dd>`}
      <dt>${t("verdict.owner")}</dt><dd>${rule.owner_role || "–"} · ${t("verdict.sla", { hours: rule.sla_hours })} · ${t("verdict.weight")} ${number(rule.weight)}</dd>
      ${explained?.before && html`<dt>${t("verdict.before")}</dt><dd><${RuleStatus} status=${explained.before} /> ${explained.observed_before}</dd>`}
      ${rule.passes_at && html`<dt>${t("verdict.passes-at")}</dt><dd><${When} at=${rule.passes_at} how="both" /></dd>`}
      ${rule.waivers.map((one) => html`<dt>${t("verdict.waiver")}</dt><dd>${one.fingerprint && html`<code>${one.fingerprint}</code> `}<q>${one.reason}</q> · ${t("verdict.by-two", { one: one.requested_by, other: one.approved_by })} · <${When} at=${one.ends_at} how="both" /></dd>`)}
      ${rule.accepted.map((one) => html`<dt>${t("verdict.accepted")}</dt><dd><q>${one.reason}</q> · ${t("verdict.by-two", { one: one.requested_by, other: one.approved_by })} · <${When} at=${one.ends_at} how="both" /></dd>`)}
    </dl>
    ${explained && html`<${Trend} points=${explained.trend} /><${Facts} explained=${explained} />`}
    ${rule.status !== "pass" && rule.status !== "shadow" && may("exception:write") && html`<p><${AskWaiver} run=${run} rule=${rule.id} /></p>`}
  </div>`;
}

/** The statuses of the last runs, and each number of the rule as a line. @param {{points: any[]}} props */
function Trend({ points }) {
  if (points.length < 2) return null;
  // What never changes, such as a limit of the policy, says nothing as a line.
  const names = [...new Set(points.flatMap((one) => Object.keys(one.values)))].filter((name) => new Set(points.flatMap((one) => one.values[name] ?? [])).size > 1).slice(0, 4);
  return html`<h3>${t("verdict.trend.rule")}</h3>
    <ol class="statuses">${points.map((one) => html`<li><${RuleStatus} status=${one.status} /> <span class="quiet">${one.version}</span></li>`)}</ol>
    <div class="series">${names.map((name) => {
      const values = points.filter((one) => name in one.values).map((one) => one.values[name]);
      const shown = values.map((one) => number(one, { maximumFractionDigits: 2 }));
      return html`<figure><figcaption><code>${name}</code> ${shown.at(-1)}</figcaption><${Sparkline} values=${values} top=${Math.max(...values) || 1} label=${`${name}: ${shown.join(", ")}`} /></figure>`;
    })}</div>`;
}

/** @param {{explained: any}} props */
function Facts({ explained }) {
  const rows = [...explained.facts, ...explained.gone.map((/** @type {any} */ one) => ({ ...one, isGone: true }))];
  if (!rows.length) return html`<p class="quiet">${t("verdict.no-facts")}</p>`;
  return html`<h3>${t("verdict.facts")}</h3>
    <ul class="fact-list">${rows.map((one) => html`<li>
      <div><strong>${one.kind}</strong> ${one.part !== "default" && html`<span>${one.part}</span> `}
        ${one.isGone ? html`<span class="chip bad">${t("verdict.fact.gone")}</span>` : one.is_new ? html`<span class="chip info">${t("verdict.fact.new")}</span>` : one.replaces ? html`<span class="chip none">${t("verdict.fact.replaces", { number: String(one.replaces) })}</span>` : ""}</div>
      <div class="quiet">${t("verdict.fact.from", { source: one.source, actor: one.actor || "–" })} · <${When} at=${one.time} how="both" /> · ${t("verdict.fact.age", { hours: number(one.age_hours, { maximumFractionDigits: 1 }) })}</div>
      <${FactFiles} id=${one.signal_id} />
    </li>`)}</ul>
    ${explained.facts_left_out > 0 && html`<p class="quiet">${t("verdict.facts.left-out", { count: explained.facts_left_out })}</p>`}`;
}

/** What was sent, as it came, and as it was read. @param {{id: number}} props */
function FactFiles({ id }) {
  if (!may("signal:read")) return null;
  const url = path`/api/signals/${id}`;
  return html`<div class="verdict-line">
    <${Download} plain url=${sited(`${url}/report`)} name="report-${id}" label=${`${t("verdict.report")} ${id}`}>${t("verdict.report")}<//>
    <${Download} plain url=${sited(url)} name="signal-${id}.json" label=${`${t("verdict.signal", { number: String(id) })}`}>${t("verdict.signal", { number: String(id) })}<//>
  </div>`;
}
