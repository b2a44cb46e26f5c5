// A gate: its verdicts, the newest first, and the rules by which it judges.
import { html } from "../vendor/preact.js";
import { path } from "../api/client.js";
import { sited, useAsked } from "../api/asking.js";
import { Title } from "../parts/layout.js";
import { Verdict } from "../parts/marks.js";
import { Paged, usePaged } from "../parts/paged.js";
import { Empty } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE, useQueryValue } from "../router.js";
import { number, t, word } from "../words/index.js";
import { DECIDED } from "./verdict/run.js";

const PAGE = 50;

/** @param {{gate: string}} props */
export default function GatePage({ gate }) {
  const [subject, setSubject] = useQueryValue("subject");
  const [version, setVersion] = useQueryValue("version");
  const url = sited(path`/api/gates/${gate}/runs`, { subject: subject.trim(), version: version.trim(), limit: PAGE });
  const paged = usePaged(url, "run_id", { on: DECIDED });
  const known = useAsked(sited("/api/verdicts", { gate, limit: 200 }));
  const subjects = [...new Set((known.data?.items ?? []).map((/** @type {any} */ one) => one.subject))];
  return html`
    <nav class="quiet" aria-label=${t("verdict.where")}><a href=${BASE}>${t("nav.overview")}</a></nav>
    <${Title}>${t("gate.title", { gate })}<//>
    <${About} gate=${gate} />
    <form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>${t("gate.subject")}<br /><input type="search" list="gate-subjects" value=${subject} onChange=${(/** @type {any} */ event) => setSubject(event.target.value)} /></label>
      <datalist id="gate-subjects">${subjects.map((one) => html`<option value=${one} />`)}</datalist>
      <label>${t("gate.version")}<br /><input type="search" value=${version} onChange=${(/** @type {any} */ event) => setVersion(event.target.value)} /></label>
    </form>
    <${Paged} paged=${paged}>${(/** @type {any[]} */ rows) => rows.length
      ? html`<${Runs} rows=${rows} gate=${gate} />`
      : html`<${Empty} title=${t(subject || version ? "gate.none-found" : "gate.empty")}>${!subject && !version && html`<p><code>headgate gate run ${gate}</code></p>`}<//>`}<//>`;
}

/** @param {{gate: string}} props */
function About({ gate }) {
  const asked = useAsked(path`/api/gates/${gate}`);
  if (!asked.data) return null; // a gate of the site's own is not known everywhere; its verdicts are here all the same
  const { title, description, rules } = asked.data;
  return html`<section class="panel"><h2>${title}</h2>${description && html`<p>${description}</p>`}
    <details><summary>${t("gate.rules", { count: rules.length })}</summary><div class="scroll" role="region" tabindex="0" aria-label=${t("verdict.rules")}><table>
      <thead><tr><th scope="col">${t("verdict.rule")}</th><th scope="col">${t("gate.condition")}</th><th scope="col" class="number">${t("verdict.weight")}</th><th scope="col">${t("verdict.owner")}</th></tr></thead>
      <tbody>${rules.map((/** @type {any} */ one) => html`<tr><th scope="row">${one.title || one.id} ${!one.required && html`<span class="quiet">${t("verdict.optional")}</span>`}</th><td><code>${one.condition}</code></td>
        <td class="number">${number(one.weight)}</td><td>${one.owner_role} <span class="quiet">${t("verdict.sla", { hours: one.sla_hours })}</span></td></tr>`)}</tbody>
    </table></div></details></section>`;
}

/** @param {{rows: any[], gate: string}} props */
function Runs({ rows, gate }) {
  return html`<div class="scroll" role="region" tabindex="0" aria-label=${t("gate.title", { gate })}><table class="runs">
    <thead><tr><th scope="col">${t("gate.run")}</th><th scope="col">${t("verdict.status")}</th><th scope="col">${t("gate.what")}</th><th scope="col" class="number">${t("verdict.score")}</th><th scope="col" class="number wide">${t("gate.failed")}</th><th scope="col" class="wide">${t("verdict.trigger")}</th><th scope="col">${t("verdict.judged")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr key=${one.run_id}>
      <th scope="row"><a href=${BASE + path`/gates/${gate}/runs/${one.run_id}`}>${one.run_id}</a></th><td><${Verdict} verdict=${one.verdict} /></td>
      <td>${one.version ? html`${one.subject} <span class="mono">${one.version}</span>` : one.site}${one.line && html` <span class="quiet">${t("overview.line", { line: one.line })}</span>`}</td>
      <td class="number">${number(one.summary.weighted_score_percent, { maximumFractionDigits: 1 })} %</td><td class="number wide">${number(one.summary.failure_count)}</td>
      <td class="wide">${word("run-trigger", one.trigger)}</td><td><${When} at=${one.decided_at} /></td></tr>`)}</tbody>
  </table></div>`;
}
