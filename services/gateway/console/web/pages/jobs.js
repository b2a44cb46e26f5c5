// Jobs: when each runs next and how it ended last; and their runs, newest first, of all services.
import { html, useMemo, useRef, useState } from "../vendor/preact.js";
import { get } from "../api/client.js";
import { sited, useAsked, useOrder } from "../api/asking.js";
import { Title } from "../parts/layout.js";
import { Outcome, span, took } from "../parts/runs.js";
import { Empty, Refused, Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE, setQuery, useQueryValue } from "../router.js";
import { number, t, word } from "../words/index.js";
import { RunDrawer } from "./jobs/drawer.js";

export const SERVICES = ["gateway", "governance", "tracker", "audit", "metrics", "notifier", "operations"];
const STATUSES = ["failed", "critical", "warning", "success"];
const HEARD = SERVICES.map((service) => `${service}.job.finished`);
const PAGE = 200; // the most that one question brings

export default function Jobs() {
  const [view] = useQueryValue("view", "runs");
  return html`<${Title}>${t("jobs.title")}<//>
    <nav class="tabs" aria-label=${t("jobs.views")}>${["runs", "schedule"].map(
      (one) => html`<a href="${BASE}/jobs${one === "runs" ? "" : `?view=${one}`}" aria-current=${one === view ? "page" : undefined}>${t(`jobs.view.${one}`)}</a>`,
    )}</nav>
    ${view === "schedule" ? html`<${Schedule} />` : html`<${Runs} />`}`;
}

/** What every service says of its jobs; one that does not answer leaves the others to be seen. @param {string} _url @param {AbortSignal} signal */
export async function askSchedules(_url, signal) {
  const answers = await Promise.allSettled(SERVICES.map((service) => get(`/api/jobs/${service}`, signal)));
  const silent = SERVICES.filter((_, place) => answers[place].status === "rejected");
  if (silent.length === SERVICES.length) throw /** @type {PromiseRejectedResult} */ (answers[0]).reason;
  return { jobs: answers.flatMap((one) => (one.status === "fulfilled" ? one.value : [])), silent };
}

function Schedule() {
  const asked = useAsked("/api/jobs/*", { on: HEARD, ask: askSchedules });
  const [service, setService] = useQueryValue("service");
  const [text, setText] = useQueryValue("q");
  const fits = (/** @type {any} */ one) => (!service || one.service === service) && one.job_name.includes(text.trim().toLowerCase());
  return html`<form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${Pick} label=${t("jobs.service")} value=${service} set=${setService} options=${SERVICES.map((one) => [one, one])} />
      <label>${t("jobs.find")}<br /><input type="search" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label>
    </form>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => {
      const shown = found.jobs.filter(fits);
      return html`${found.silent.length > 0 && html`<p class="stale" role="status">${t("jobs.silent", { services: found.silent.join(", ") })}</p>`}
        ${shown.length ? html`<${ScheduleTable} jobs=${shown} />` : html`<${Empty} title=${t("jobs.none-found")} />`}`;
    }}<//>`;
}

/** @param {{jobs: any[]}} props */
function ScheduleTable({ jobs }) {
  return html`<div class="scroll panel" tabindex="0" role="region" aria-label=${t("jobs.view.schedule")}><table class="ops-rows">
    <thead><tr><th scope="col">${t("jobs.job")}</th><th scope="col">${t("jobs.service")}</th><th scope="col">${t("jobs.cron")}</th><th scope="col">${t("jobs.next")}</th><th scope="col">${t("jobs.last")}</th><th scope="col">${t("jobs.finished")}</th></tr></thead>
    <tbody>${jobs.map((one) => html`<tr key=${`${one.service} ${one.job_name}`}>
      <th scope="row"><button type="button" class="plain link mono" onClick=${() => setQuery({ view: "", q: "", service: "", job: one.job_name })}>${one.job_name}</button></th>
      <td>${one.service}</td>
      <td><span class="mono" title=${one.zone ?? ""}>${one.cron ?? "–"}</span>${!one.runs_always && html` <span class="quiet">${t("jobs.if-needed")}</span>`}</td>
      <td>${one.next_at ? html`<${When} at=${one.next_at} />` : html`<span class="quiet">${t("jobs.off")}</span>`}</td>
      <td>${one.last_status ? html`<${Outcome} status=${one.last_status} />` : html`<span class="quiet">${t("jobs.never")}</span>`}</td>
      <td><${When} at=${one.last_finished_at} /></td>
    </tr>`)}</tbody></table></div>`;
}

/** @param {{label: string, value: string, set: (value: string) => void, options: string[][]}} props */
function Pick({ label, value, set, options }) {
  return html`<label>${label}<br /><select value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)}>
    <option value="">${t("all")}</option>${options.map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}</select></label>`;
}

function Runs() {
  const [job, setJob] = useQueryValue("job");
  const [service, setService] = useQueryValue("service");
  const [status, setStatus] = useQueryValue("status");
  const [openId, setOpenId] = useQueryValue("run");
  const schedules = useAsked("/api/jobs/*", { ask: askSchedules });
  const url = sited("/api/ops/job-runs", { job_name: job, limit: PAGE });
  const asked = useAsked(url, { on: HEARD });
  const names = useMemo(() => [...new Set([...(job ? [job] : []), ...(schedules.data?.jobs ?? []).map((/** @type {any} */ one) => one.job_name), ...(asked.data ?? []).map((/** @type {any} */ one) => one.job_name)])].sort(), [schedules.data, asked.data, job]);
  return html`<form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${Pick} label=${t("jobs.service")} value=${service} set=${setService} options=${SERVICES.map((one) => [one, one])} />
      <${Pick} label=${t("jobs.job")} value=${job} set=${setJob} options=${names.map((one) => [one, one])} />
      <${Pick} label=${t("jobs.status")} value=${status} set=${setStatus} options=${STATUSES.map((one) => [one, word("outcome", one)])} />
    </form>
    <${Shown} asked=${asked}>${(/** @type {any} */ newest) => html`<${Loaded} key=${url} newest=${newest} url=${url} wanted=${{ service, status }} openId=${openId} open=${setOpenId} />`}<//>`;
}

/** The newest runs and those before them that were asked for.
 * @param {{newest: any[], url: string, wanted: {service: string, status: string}, openId: string, open: (id: string) => void}} props */
function Loaded({ newest, url, wanted, openId, open }) {
  const [older, setOlder] = useState(/** @type {any[]} */ ([]));
  const [ended, setEnded] = useState(newest.length < PAGE);
  const { busy, problem, run } = useOrder();
  const seen = useRef(new Map()); // what newer runs pushed off the first page stays
  const runs = useMemo(() => {
    for (const one of [...newest, ...older]) seen.current.set(one.id, one);
    return [...seen.current.values()].sort((one, other) => Date.parse(other.finished_at) - Date.parse(one.finished_at) || (other.id < one.id ? -1 : 1));
  }, [newest, older]);
  const shown = runs.filter((one) => (!wanted.service || one.service === wanted.service) && (!wanted.status || one.status === wanted.status));
  const opened = runs.find((one) => String(one.id) === openId);
  const further = async () => {
    const found = await run(() => get(`${url}&offset=${runs.length}`));
    if (!found) return;
    setOlder((before) => [...before, ...found]);
    setEnded(found.length < PAGE);
  };
  if (!runs.length) return html`<${Empty} title=${t("jobs.empty")}><p>${t("jobs.empty.more")}</p><//>`;
  return html`<${Figures} runs=${shown} all=${runs.length} ended=${ended} />
    ${shown.length ? html`<${RunTable} runs=${shown} open=${open} />` : html`<${Empty} title=${t("jobs.none-found")}>${!ended && html`<p>${t("jobs.none-found.more")}</p>`}<//>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    ${!ended && html`<p><button type="button" disabled=${busy} aria-busy=${busy} onClick=${further}>${t("jobs.older")}</button></p>`}
    ${openId && html`<${RunDrawer} run=${opened} close=${() => open("")} />`}`;
}

/** @param {{runs: any[], all: number, ended: boolean}} props */
function Figures({ runs, all, ended }) {
  const bad = runs.filter((one) => one.status === "failed");
  const spans = runs.map(took).sort((one, other) => one - other);
  return html`<dl class="figures">
    <div><dt>${t("jobs.runs")}</dt><dd>${number(runs.length)}</dd></div>
    <div><dt>${t("jobs.failed")}</dt><dd class=${bad.length ? "late" : ""}>${number(bad.length)}</dd></div>
    <div><dt>${t("jobs.last-failure")}</dt><dd>${bad.length ? html`<${When} at=${bad[0].finished_at} />` : "–"}</dd></div>
    <div><dt>${t("jobs.typical")}</dt><dd>${spans.length ? span(spans[Math.floor((spans.length - 1) / 2)]) : "–"}</dd></div>
    <div><dt>${t("jobs.longest")}</dt><dd>${spans.length ? span(spans[spans.length - 1]) : "–"}</dd></div>
  </dl><p class="quiet" role="status">${t(ended ? "jobs.of-all" : "jobs.of-newest", { count: all })}</p>`;
}

/** @param {{runs: any[], open: (id: string) => void}} props */
function RunTable({ runs, open }) {
  return html`<div class="scroll panel" tabindex="0" role="region" aria-label=${t("jobs.view.runs")}><table class="ops-rows">
    <thead><tr><th scope="col">${t("jobs.job")}</th><th scope="col">${t("jobs.status")}</th><th scope="col">${t("jobs.finished")}</th><th scope="col" class="number">${t("jobs.took")}</th><th scope="col">${t("jobs.service")}</th><th scope="col">${t("jobs.by")}</th></tr></thead>
    <tbody>${runs.map((one) => html`<tr key=${one.id}>
      <th scope="row"><button type="button" class="plain link mono" onClick=${() => open(String(one.id))}>${one.job_name}</button></th>
      <td><${Outcome} status=${one.status} /></td>
      <td><${When} at=${one.finished_at} /></td>
      <td class="number">${span(took(one))}</td>
      <td>${one.service}</td>
      <td>${word("run-trigger", one.trigger)} <span class="quiet">${one.actor}</span></td>
    </tr>`)}</tbody></table></div>`;
}
