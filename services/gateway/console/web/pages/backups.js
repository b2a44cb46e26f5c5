// Backups and rehearsals: whether what is kept could be restored, when that was last tried, and what waits.
import { html } from "../vendor/preact.js";
import { order } from "../api/client.js";
import { useAsked, useOrder } from "../api/asking.js";
import { may, mayAll, mayAnywhere } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { Hash, lasted, size } from "../parts/looking.js";
import { Chip, Sparkline } from "../parts/marks.js";
import { say } from "../parts/notices.js";
import { Empty, Refused, Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE } from "../router.js";
import { number, t, word } from "../words/index.js";

const KINDS = { success: "good", warning: "warn", critical: "bad" };
const LOOK_MS = 60_000;
const seconds = (/** @type {number|null} */ value) => (value === null ? "–" : lasted(value * 1_000));

/** @param {{status: string}} props */
const Status = ({ status }) => html`<${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (status)] ?? "none"}>${word("backups.status", status)}<//>`;

export default function Backups() {
  const backups = useAsked("/api/ops/backups?limit=50", { on: ["operations.backup.finished"], every: LOOK_MS });
  const rehearsals = useAsked("/api/ops/dr/rehearsal/history?limit=50", { on: ["operations.rehearsal.finished"], every: LOOK_MS });
  return html`<${Title}>${t("backups.title")}<//>
    <div class="cards"><${Newest} asked=${backups} /><${Rehearsed} asked=${rehearsals} /><${Waiting} /></div>
    <section class="panel"><h2>${t("backups.list")}</h2><${Shown} asked=${backups}>${(/** @type {any[]} */ found) => (found.length ? html`<${List} found=${found} />` : html`<p class="quiet">${t("backups.empty")}</p>`)}<//></section>
    <section class="panel"><h2>${t("backups.rehearsals")}</h2><${Shown} asked=${rehearsals}>${(/** @type {any[]} */ found) => (found.length ? html`<${Rehearsals} found=${found} />` : html`<p class="quiet">${t("backups.rehearsals.empty")}</p>`)}<//></section>`;
}

/** @param {{problems: string[]}} props */
const Problems = ({ problems }) => (problems.length ? html`<ul class="late">${problems.map((one) => html`<li>${one}</li>`)}</ul>` : null);

/** @param {{asked: import("../api/asking.js").Asked}} props */
function Newest({ asked }) {
  return html`<section class="panel"><h2>${t("backups.newest")}</h2><${Shown} asked=${asked}>${(/** @type {any[]} */ found) => {
    const last = found[0];
    const good = found.find((one) => one.good);
    const made = last?.backup_id ? last : good; // one that could not be made says nothing of these
    if (!last) return html`<${Empty} title=${t("backups.empty")}><p>${t("backups.empty.more")}</p><//>`;
    return html`<p><${Status} status=${last.status} /> <${When} at=${last.finished_at} how="both" /></p><${Problems} problems=${last.problems} />
      <dl class="facts"><dt>${t("backups.point")}</dt><dd><${When} at=${good?.recovery_point} how="both" /></dd>
        <dt>${t("backups.size")}</dt><dd>${made ? size(made.size_bytes) : "–"}${last.free_bytes !== null && ` · ${t("backups.free", { size: size(last.free_bytes) })}`}</dd>
        <dt>${t("backups.kept")}</dt><dd>${number(last.kept_count)}</dd>
        <dt>${t("backups.place")}</dt><dd>${word("backups.place", last.place)}${made && ` · ${t(made.encrypted ? "backups.encrypted" : "backups.clear")}`}</dd>
        <dt>${t("backups.audit")}</dt><dd>${made ? html`${may("audit:read") ? html`<a href="${BASE}/audit?entry=${made.audit_seq}">${number(made.audit_seq)}</a>` : number(made.audit_seq)} <${Hash} text=${made.audit_hash} />` : "–"}</dd></dl>`;
  }}<//></section>`;
}

/** @param {{asked: import("../api/asking.js").Asked}} props */
function Rehearsed({ asked }) {
  return html`<section class="panel"><h2>${t("backups.rehearsed")}</h2><${Shown} asked=${asked}>${(/** @type {any[]} */ found) => {
    const last = found[0];
    if (!last) return html`<${Empty} title=${t("backups.rehearsals.empty")}><p>${t("backups.rehearsals.more")}</p><//>`;
    const times = found.filter((one) => one.rto_s !== null).map((one) => one.rto_s).reverse();
    return html`<p><${Status} status=${last.status} /> ${t(last.restore_valid ? "backups.valid" : "backups.invalid")} <${When} at=${last.finished_at} how="both" /></p><${Problems} problems=${last.notes} />
      <dl class="facts"><dt>${t("backups.rto")}</dt><dd>${seconds(last.rto_s)}</dd><dt>${t("backups.rpo")}</dt><dd>${seconds(last.rpo_s)}</dd><dt>${t("backups.file")}</dt><dd class="mono">${last.backup_file}</dd></dl>
      <${Sparkline} values=${times} top=${Math.max(1, ...times)} label=${t("backups.rto.trend", { values: times.map(seconds).join(", ") })} />
      <p class="quiet">${t("backups.told")}</p>`;
  }}<//></section>`;
}

/** Requests that no rehearsal has answered, and asking for one. */
function Waiting() {
  const pending = useAsked("/api/ops/dr/rehearsal/pending", { on: ["operations.rehearsal."], every: LOOK_MS });
  const duties = useAsked(mayAnywhere("operations:rehearse") ? "/api/ops/keeper/duties" : null, { on: ["operations.rehearsal.", "operations.backup."], every: LOOK_MS });
  const { busy, problem, run } = useOrder();
  const ask = () => run(() => order("POST", "/api/ops/dr/rehearsal/run")).then((asked) => {
    if (asked === undefined) return;
    say(t("backups.asked"));
    pending.reload();
  });
  return html`<section class="panel"><h2>${t("backups.waiting")}</h2>
    <${Shown} asked=${pending}>${(/** @type {any} */ found) => (found.count ? html`<ul class="changes">${found.items.map((/** @type {any} */ one) => html`<li key=${one.request_id}><strong>${one.requested_by}</strong> <${When} at=${one.requested_at} how="both" /></li>`)}</ul><p class="quiet">${t("backups.waiting.more")}</p>` : html`<p class="quiet">${t("backups.waiting.empty")}</p>`)}<//>
    ${duties.data && html`<p class="quiet">${t("backups.keeper", { count: duties.data.rehearsal_count })} ${duties.data.last_backup_id ? html`${t("backups.keeper.told")} <code>${duties.data.last_backup_id}</code> <${When} at=${duties.data.last_finished_at} />` : t("backups.keeper.silent")}</p>`}
    ${mayAll("operations:run") && html`<p><button type="button" disabled=${busy} aria-busy=${busy} onClick=${ask}>${t("backups.ask")}</button></p>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}</section>`;
}

/** @param {{found: any[]}} props */
const List = ({ found }) => html`<div class="scroll" tabindex="0"><table class="rows"><thead><tr>${["id", "state", "ended", "point", "took", "size", "rows", "messages"].map((name) => html`<th scope="col">${t(`backups.${name}`)}</th>`)}</tr></thead>
  <tbody>${found.map((one) => html`<tr key=${one.run_id}><th scope="row" class="mono">${one.backup_id ?? "–"}</th><td><${Status} status=${one.status} /><${Problems} problems=${one.problems} /></td>
    <td><${When} at=${one.finished_at} how="date" /></td><td><${When} at=${one.recovery_point} how="date" /></td><td>${seconds(one.backup_s)}</td><td>${size(one.size_bytes)}</td><td>${number(one.rows)}</td><td>${number(one.messages)}</td></tr>`)}</tbody></table></div>`;

/** @param {{found: any[]}} props */
const Rehearsals = ({ found }) => html`<div class="scroll" tabindex="0"><table class="rows"><thead><tr>${["id", "state", "ended", "trigger", "rto", "rpo", "took", "size"].map((name) => html`<th scope="col">${t(`backups.${name}`)}</th>`)}</tr></thead>
  <tbody>${found.map((one) => html`<tr key=${one.run_id}><th scope="row" class="mono">${one.backup_file}</th><td><${Status} status=${one.status} /><${Problems} problems=${one.notes} /></td>
    <td><${When} at=${one.finished_at} how="date" /></td><td>${one.trigger}</td><td>${seconds(one.rto_s)}</td><td>${seconds(one.rpo_s)}</td><td>${seconds(one.total_s)}</td><td>${size(one.size_bytes)}</td></tr>`)}</tbody></table></div>`;
