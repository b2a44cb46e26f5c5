// Stored evidence, read and hashed anew: is it still what was stored?
import { html } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { useAsked, useOrder } from "../../api/asking.js";
import { mayAll } from "../../api/session.js";
import { say } from "../../parts/notices.js";
import { Outcome } from "../../parts/runs.js";
import { Empty, Refused, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t, word } from "../../words/index.js";
import { askIfThere } from "./asking.js";

const ARCHIVE = "/api/ops/integrity/evidence-archive";
const COUNTS = ["checked_count", "digest_mismatch_count", "missing_blob_count", "missing_hash_count", "read_error_count", "skipped_count"];

export function Integrity() {
  const asked = useAsked(`${ARCHIVE}/latest`, { on: ["operations.evidence.checked"], ask: askIfThere });
  const { busy, problem, run } = useOrder();
  const make = async () => {
    if (!(await run(() => order("POST", `${ARCHIVE}/run`, {})))) return;
    say(t("checks.integrity.made"));
    asked.reload();
  };
  return html`<div class="bar">${mayAll("operations:run") && html`<button type="button" class="primary" disabled=${busy} aria-busy=${busy} onClick=${make}>${t("checks.integrity.run")}</button>`}<p class="quiet">${t("checks.integrity.what")}</p></div>
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => (found ? html`<${Batch} of=${found} />` : html`<${Empty} title=${t("checks.integrity.never")}><p>${t("checks.never.more")}</p><//>`)}<//>`;
}

/** @param {{of: any}} props */
function Batch({ of }) {
  return html`<section class="panel"><div class="title"><h2>${t("checks.integrity.newest")}</h2>
      ${of.archive_file && html`<a class="button" href="${ARCHIVE}/archive/${of.run_id}" download title=${of.archive_sha256}>${t("download")}</a>`}</div>
    <p><${Outcome} status=${of.status} /> ${of.message} · <${When} at=${of.checked_at} how="both" /> · ${word("trigger", of.trigger)}</p>
    ${of.archive_error && html`<p class="refused">${t("checks.no-file")} ${of.archive_error}</p>`}
    ${of.unread.map((/** @type {any} */ one) => html`<p class="late">${one.service}: ${one.reason}</p>`)}
    ${of.issues.length > 0 && html`<h3>${t("checks.integrity.issues", { count: of.issue_count })}</h3><ul class="changes">${of.issues.map((/** @type {any} */ one) => html`<li><strong>${one.problem}</strong> <span class="mono">${one.table} ${one.id}</span> <span class="quiet">${one.detail}</span></li>`)}</ul>`}
    <div class="scroll" tabindex="0" role="region" aria-label=${t("checks.integrity.newest")}><table class="ops-rows">
      <thead><tr><th scope="col">${t("checks.integrity.table")}</th>${COUNTS.map((one) => html`<th scope="col" class="number">${t(`evidence.${one}`)}</th>`)}</tr></thead>
      <tbody>${of.tables.map((/** @type {any} */ one) => html`<tr key=${one.table}><th scope="row" class="mono">${one.table}</th>${COUNTS.map((name, place) => html`<td class="number ${place && place < 5 && one[name] ? "late" : ""}">${number(one[name])}</td>`)}</tr>`)}</tbody></table></div></section>`;
}
