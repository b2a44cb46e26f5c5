// What the autopilot has done: in figures, run by run, and each run's steps; and how to take one back.
import { html, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Outcome } from "../../parts/runs.js";
import { Empty, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { number, t, word } from "../../words/index.js";
import { AUTOPILOT, HEARD, JOB, Steps } from "./steps.js";

const RUNS = 50;

export function Summary() {
  const asked = useAsked(sited(`${AUTOPILOT}/summary`), { on: HEARD });
  return html`<section class="panel"><h2>${t("autopilot.summary")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ of) => {
    if (!of.total_runs) return html`<p class="quiet">${t("autopilot.summary.none")}</p>`;
    const figures = [["total", of.total_runs], ["executed", of.executed_runs], ["skipped", of.skipped_runs], ["dry", of.dry_runs + of.shadow_runs], ["undone", of.undone_runs], ["errors", of.error_runs]];
    const shares = Object.entries(of.shadow).filter(([, share]) => /** @type {any} */ (share).suggested_count);
    return html`<dl class="figures">${figures.map(([key, count]) => html`<div><dt>${t(`autopilot.summary.${key}`)}</dt><dd>${number(count)}</dd></div>`)}
        <div><dt>${t("autopilot.summary.success")}</dt><dd>${number(of.success_rate_percent / 100, { style: "percent" })}</dd></div></dl>
      ${shares.map(([action, /** @type {any} */ share]) => html`<p>${word("action", action)}: ${t("autopilot.agreement", {
        count: share.suggested_count, same: share.same_count, other: share.other_count, open: share.open_count })}</p>`)}`;
  }}<//></section>`;
}

export function History() {
  const asked = useAsked(sited(`${AUTOPILOT}/history`, { limit: RUNS }), { on: HEARD });
  const [openId, setOpenId] = useQueryValue("run");
  const csv = sited(`${AUTOPILOT}/history.csv`, { limit: 100 });
  return html`<section class="panel"><div class="title"><h2>${t("autopilot.history")}</h2><a class="button" href=${csv} download>CSV</a></div>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => found.items.length
      ? html`<${Runs} runs=${found.items} open=${(/** @type {number} */ id) => setOpenId(String(id))} />
          ${openId && html`<${Run} run=${found.items.find((/** @type {any} */ one) => String(one.run_id) === openId)} close=${() => setOpenId("")} done=${asked.reload} />`}`
      : html`<${Empty} title=${t("autopilot.history.none")}><p>${t("autopilot.history.none.more")}</p><//>`}<//>
  </section>`;
}

/** What kind of run it was, in a word or two. @param {{run: any}} props */
function Kind({ run }) {
  if (run.undone_at) return html`<${Chip} kind="info">${t("autopilot.kind.undone")}<//>`;
  if (run.skipped) return html`<${Chip} kind="none">${t("autopilot.kind.skipped")}<//> <span class="quiet">${word("skip", run.skip_reason ?? "")}</span>`;
  if (run.dry_run) return html`<${Chip} kind="none">${t("autopilot.kind.dry")}<//>`;
  if (run.shadow) return html`<${Chip} kind="none">${t("autopilot.kind.shadow")}<//>`;
  return html`${run.actions.map((/** @type {string} */ one) => word("action", one)).join(", ") || "–"}`;
}

/** @param {{runs: any[], open: (id: number) => void}} props */
function Runs({ runs, open }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("autopilot.history")}><table class="ops-rows">
    <thead><tr><th scope="col">${t("jobs.run")}</th><th scope="col">${t("jobs.status")}</th><th scope="col">${t("autopilot.did")}</th><th scope="col" class="number">${t("autopilot.items")}</th><th scope="col">${t("jobs.finished")}</th><th scope="col">${t("jobs.by")}</th></tr></thead>
    <tbody>${runs.map((one) => html`<tr key=${one.run_id}>
      <th scope="row"><button type="button" class="plain link" onClick=${() => open(one.run_id)}>${one.run_id}</button></th>
      <td><${Outcome} status=${one.status} /></td><td><${Kind} run=${one} /></td><td class="number">${number(one.touched_count)}</td>
      <td><${When} at=${one.finished_at} /></td><td>${word("run-trigger", one.trigger)}</td>
    </tr>`)}</tbody></table></div>`;
}

/** @param {{run: any, close: () => void, done: () => void}} props */
function Run({ run, close, done }) {
  const url = may("job:read") ? sited("/api/ops/job-runs", { job_name: JOB, limit: 200 }) : null;
  const asked = useAsked(url);
  if (!run) return html`<${Dialog} side title=${t("jobs.run")} close=${close}><${Empty} title=${t("jobs.not-there")} /><//>`;
  const whole = (asked.data ?? []).find((/** @type {any} */ one) => one.id === run.run_id);
  return html`<${Dialog} side title=${`${t("jobs.run")} ${run.run_id}`} close=${close}>
    <p><${Outcome} status=${run.status} /> <${Kind} run=${run} /></p>
    <dl class="facts">
      <dt>${t("jobs.finished")}</dt><dd><${When} at=${run.finished_at} how="both" /></dd>
      <dt>${t("jobs.by")}</dt><dd>${word("run-trigger", run.trigger)}${whole ? ` · ${whole.actor}` : ""}</dd>
      <dt>${t("autopilot.items")}</dt><dd>${number(run.touched_count)}</dd>
      ${run.undone_at && html`<dt>${t("autopilot.undone")}</dt><dd>${run.undone_by} <${When} at=${run.undone_at} /></dd>`}
    </dl>
    ${run.executed && !run.undone_at && may("remediation:assign") && html`<${Undo} run=${run} done=${done} />`}
    ${url && html`<${Shown} asked=${asked}>${() => (whole ? html`<${Whole} of=${whole.detail} />` : html`<p class="quiet">${t("jobs.not-there")}</p>`)}<//>`}
  <//>`;
}

/** @param {{of: any}} props */
function Whole({ of }) {
  const pairs = [["open", "open_items"], ["unassigned", "unassigned_open_count"], ["overdue", "overdue_count"], ["critical", "critical_open_count"]];
  return html`
    ${of.error && html`<p class="refused">${String(of.error)}</p>`}
    ${(of.errors ?? []).map((/** @type {string} */ one) => html`<p class="refused">${one}</p>`)}
    ${of.metrics_after && html`<section><h3>${t("autopilot.before-after")}</h3><dl class="facts">${pairs.map(([key, name]) => html`<dt>${t(`autopilot.${key}`)}</dt><dd>${number(of.metrics[name])} → ${number(of.metrics_after[name])}</dd>`)}</dl></section>`}
    ${(of.planned_steps ?? []).length > 0 && html`<section><h3>${t("autopilot.steps")}</h3><${Steps} steps=${of.planned_steps} /></section>`}`;
}

/** Taking a run back, where nobody has worked on it since. @param {{run: any, done: () => void}} props */
function Undo({ run, done }) {
  const [asks, setAsks] = useState(false);
  const deed = (/** @type {Record<string, string>} */ said) => order("POST", sited(`${AUTOPILOT}/runs/${run.run_id}/undo`), { reason: said.reason }, { key: said._key });
  const undone = (/** @type {any} */ result) => {
    say(t("autopilot.undo.done", { released: result.released_ids.length, snoozed: result.snoozed_ids.length, left: result.left_ids.length }));
    done();
  };
  if (!asks) return html`<p><button type="button" class="danger" onClick=${() => setAsks(true)}>${t("autopilot.undo")}</button></p>`;
  return html`<section><h3>${t("autopilot.undo")}</h3><p>${t("autopilot.undo.what")}</p>
    <${Form} deed=${deed} done=${undone} submit=${t("autopilot.undo")} cancel=${() => setAsks(false)} danger><${Field} name="reason" label=${t("reason")} hint=${t("reason.hint")} required /><//></section>`;
}
