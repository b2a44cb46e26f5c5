// One run, whole.
import { html } from "../../vendor/preact.js";
import { Dialog } from "../../parts/dialog.js";
import { Detail, Outcome, span, took } from "../../parts/runs.js";
import { Empty } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t, word } from "../../words/index.js";

/** @param {{run: any, close: () => void}} props `run` undefined: it is not among those that were asked for */
export function RunDrawer({ run, close }) {
  if (!run) return html`<${Dialog} side title=${t("jobs.run")} close=${close}><${Empty} title=${t("jobs.not-there")} /><//>`;
  return html`<${Dialog} side title=${run.job_name} close=${close}>
    <p><${Outcome} status=${run.status} /></p>
    ${run.detail.error && html`<p class="refused">${String(run.detail.error)}</p>`}
    <dl class="facts">
      <dt>${t("jobs.run")}</dt><dd>${run.id}</dd>
      <dt>${t("jobs.service")}</dt><dd>${run.service}</dd>
      <dt>${t("site")}</dt><dd>${run.site}</dd>
      <dt>${t("jobs.by")}</dt><dd>${word("run-trigger", run.trigger)} · ${run.actor}</dd>
      <dt>${t("jobs.started")}</dt><dd><${When} at=${run.started_at} how="both" /></dd>
      <dt>${t("jobs.took")}</dt><dd>${span(took(run))}</dd>
      ${run.parent_run !== null && html`<dt>${t("jobs.parent")}</dt><dd>${run.parent_run}</dd>`}
      ${run.policy_version && html`<dt>${t("jobs.policy")}</dt><dd>${run.policy_version}</dd>`}
    </dl>
    <section><h3>${t("jobs.says")}</h3><${Detail} detail=${run.detail} label=${t("jobs.whole")} /></section>
  <//>`;
}
