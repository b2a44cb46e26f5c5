// A plan before it is done: previewed, read by a person, and run exactly so or not at all.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { sited, useOrder } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Outcome } from "../../parts/runs.js";
import { Empty, Refused } from "../../parts/states.js";
import { When, useNow } from "../../parts/when.js";
import { t, word } from "../../words/index.js";
import { AUTOPILOT, Steps, itemOf } from "./steps.js";

/** @param {{tried: any, forget: () => void, done: () => void}} props `tried`: settings to preview with that nobody has saved */
export function Plan({ tried, forget, done }) {
  const [force, setForce] = useState(false);
  const [seen, setSeen] = useState(/** @type {any} */ (null));
  const [ran, setRan] = useState(/** @type {any} */ (null));
  const making = useOrder();
  const preview = async (/** @type {any} */ policy) => {
    setRan(null);
    const found = await making.run(() => order("POST", sited(`${AUTOPILOT}/preview`), { force, ...(policy ? { policy } : {}) }));
    if (found) setSeen(found);
  };
  useEffect(() => {
    if (!tried) return;
    void preview(tried);
    document.getElementById("plan")?.scrollIntoView({ block: "start" });
  }, [tried]);
  const again = () => {
    forget();
    void preview(null);
  };
  return html`<section class="panel" id="plan"><h2>${t("autopilot.plan")}</h2>
    <p class="quiet">${t("autopilot.plan.what")}</p>
    <div class="bar">
      <button type="button" class=${seen ? "" : "primary"} disabled=${making.busy} aria-busy=${making.busy} onClick=${again}>${t(seen ? "autopilot.preview.again" : "autopilot.preview")}</button>
      <label><input type="checkbox" checked=${force} onChange=${(/** @type {any} */ event) => setForce(event.target.checked)} /> ${t("autopilot.force")}</label>
    </div>
    ${making.problem && html`<${Refused} problem=${making.problem} inline />`}
    ${ran && html`<${Ran} run=${ran} />`}
    ${seen && html`<${Previewed} key=${`${seen.plan_hash} ${seen.checked_at}`} of=${seen} again=${again} ran=${(/** @type {any} */ run) => {
      setSeen(null);
      setRan(run);
      say(t("autopilot.ran"));
      done();
    }} />`}
  </section>`;
}

/** @param {{of: any, again: () => void, ran: (run: any) => void}} props */
function Previewed({ of, again, ran }) {
  const [asks, setAsks] = useState(false);
  const { busy, problem, run } = useOrder();
  const over = useNow() > Date.parse(of.ends_at ?? "9999-12-31");
  const { plan } = of;
  const approve = async () => {
    const result = await run(() => order("POST", sited(`${AUTOPILOT}/run`), { plan_hash: of.plan_hash }));
    setAsks(false);
    if (result) ran(result);
  };
  return html`
    <p>${t("autopilot.seen-at")} <${When} at=${of.checked_at} />. ${of.plan_hash
      ? html`${t("autopilot.hash")} <code title=${of.plan_hash}>${of.plan_hash.slice(0, 12)}…</code>, ${t("autopilot.until")} <${When} at=${of.ends_at} />.`
      : html`<${Chip} kind="info">${t("autopilot.unsaved")}<//>`}</p>
    ${of.errors.map((/** @type {string} */ one) => html`<p class="refused">${one}</p>`)}
    ${plan.steps.length
      ? html`<p>${t("autopilot.touched", { count: plan.touched_count })}${plan.left_out_count > 0 ? ` ${t("autopilot.left-out", { count: plan.left_out_count })}` : ""}${plan.no_candidate_count > 0 ? ` ${t("autopilot.no-candidate", { count: plan.no_candidate_count })}` : ""}</p>
          <${Steps} steps=${plan.steps} />`
      : html`<${Empty} title=${t("autopilot.nothing")}><p>${t(!of.policy.enabled ? "autopilot.nothing.disabled" : of.planned_actions.length ? "autopilot.nothing.handled" : "autopilot.nothing.why", { unassigned: of.metrics.unassigned_open_count, of_unassigned: of.policy.unassigned_trigger, overdue: of.metrics.overdue_count, of_overdue: of.policy.overdue_trigger })}</p><//>`}
    ${of.guard.blocked && plan.steps.length > 0 && html`<p class="stale" role="status">${word("guard", of.guard.reason)}</p>`}
    ${problem && html`<${NotAsPlanned} problem=${problem} again=${again} steps=${plan.steps} />`}
    ${of.plan_hash && plan.steps.length > 0 && may("remediation:assign") && !problem && html`<div class="form-buttons">
      <button type="button" class="primary" disabled=${busy || over} onClick=${() => setAsks(true)}>${t("autopilot.run")}</button>${over && html`<span class="late">${t("autopilot.over")}</span>`}</div>`}
    ${asks && html`<${Dialog} title=${t("autopilot.run")} close=${() => setAsks(false)}>
      <p>${t("autopilot.run.what", { count: plan.touched_count })}</p><p class="mono">${of.plan_hash}</p>
      <div class="form-buttons"><button type="button" class="primary" disabled=${busy} aria-busy=${busy} onClick=${approve}>${t("autopilot.run.go")}</button>
        <button type="button" onClick=${() => setAsks(false)}>${t("cancel")}</button></div>
    <//>`}`;
}

/** A plan that was refused: what is another than it was approved. @param {{problem: any, again: () => void, steps: any[]}} props */
function NotAsPlanned({ problem, again, steps }) {
  const differences = problem.body.differences ?? [];
  return html`<div class="stale"><${Refused} problem=${problem} inline />
    ${differences.length > 0 && html`<h3>${t("autopilot.differs")}</h3><ul>${differences.map((/** @type {any} */ one) => {
      const step = steps.find((other) => other.item_id === one.item_id);
      const name = `#${one.item_id} ${one.rule_id}`;
      return html`<li>${step ? html`<a href=${itemOf(step)}>${name}</a>` : name} · ${word("action", one.action)} (${one.planned}): ${one.why}</li>`;
    })}</ul>`}
    ${(problem.body.failed ?? []).map((/** @type {string} */ one) => html`<p>${one}</p>`)}
    <button type="button" class="primary" onClick=${again}>${t("autopilot.preview.again")}</button></div>`;
}

/** What came of it. @param {{run: any}} props */
function Ran({ run }) {
  return html`<div role="status"><p><${Outcome} status=${run.status} /> ${t("autopilot.ran.what", { run: String(run.run_id), count: run.touched_count })}</p>
    ${run.checks.map((/** @type {any} */ one) => html`<p>${word("action", one.action)}: ${t("autopilot.moved", { moved: one.moved_count, wanted: one.wanted_count })}</p>`)}</div>`;
}
