// The autopilot: may it act, what would it do and why, what has it done, what looks wrong about it.
import { html, useState } from "../vendor/preact.js";
import { order } from "../api/client.js";
import { sited, useAsked } from "../api/asking.js";
import { may, site } from "../api/session.js";
import { Dialog } from "../parts/dialog.js";
import { Field, Form } from "../parts/form.js";
import { Title } from "../parts/layout.js";
import { Chip } from "../parts/marks.js";
import { say } from "../parts/notices.js";
import { Outcome } from "../parts/runs.js";
import { Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { number, t, word } from "../words/index.js";
import { Feed } from "./autopilot/feed.js";
import { History, Summary } from "./autopilot/history.js";
import { Plan } from "./autopilot/plan.js";
import { Policy } from "./autopilot/policy.js";
import { AUTOPILOT, HEARD } from "./autopilot/steps.js";

export default function Autopilot() {
  const guard = useAsked(sited(`${AUTOPILOT}/guard`), { on: [...HEARD, "tracker.item.", "tracker.escalation."] });
  const [tried, setTried] = useState(/** @type {any} */ (null)); // settings to preview that nobody has saved
  return html`<${Title} side=${guard.data && html`<${Switch} of=${guard.data.switch} done=${guard.reload} />`}>${t("autopilot.title")}<//>
    <${Shown} asked=${guard}>${(/** @type {any} */ found) => html`<${State} of=${found} />`}<//>
    ${may("remediation:write") && html`<${Plan} tried=${tried} forget=${() => setTried(null)} done=${guard.reload} />`}
    <${Anomalies} />
    <${Summary} />
    <${History} />
    ${may("policy:read") && html`<${Policy} attempt=${may("remediation:write") ? setTried : undefined} />`}
    <${Feed} />`;
}

/** Stopped or not, and the order for the other. @param {{of: any, done: () => void}} props */
function Switch({ of, done }) {
  const [asks, setAsks] = useState("");
  const everywhere = site() === "global" || of.scope === "global";
  const deed = (/** @type {Record<string, string>} */ said) => order("POST", sited(`${AUTOPILOT}/${asks}`), { reason: said.reason }, { key: said._key });
  const told = () => {
    say(t(`autopilot.${asks}.done`));
    setAsks("");
    done();
  };
  return html`
    <${Chip} kind=${of.stopped ? "bad" : "good"}>${t(of.stopped ? "autopilot.stopped" : "autopilot.on")}<//>
    ${of.stopped
      ? may("remediation:assign") && of.scope === "own" && html`<button type="button" onClick=${() => setAsks("resume")}>${t("autopilot.resume")}</button>`
      : may("remediation:write") && html`<button type="button" class="danger" onClick=${() => setAsks("stop")}>${t("autopilot.stop")}</button>`}
    ${asks && html`<${Dialog} title=${t(`autopilot.${asks}`)} close=${() => setAsks("")}>
      <p>${t(asks === "stop" ? (everywhere ? "autopilot.stop.all" : "autopilot.stop.here") : "autopilot.resume.what")}</p>
      <${Form} deed=${deed} done=${told} submit=${t(`autopilot.${asks}`)} cancel=${() => setAsks("")} danger=${asks === "stop"}>
        <${Field} name="reason" label=${t("reason")} hint=${t("reason.hint")} required /><//>
    <//>`}`;
}

/** Whether it may act now, and what it sees. @param {{of: any}} props */
function State({ of }) {
  const { guard, policy, evaluation } = of;
  const { metrics } = evaluation;
  const figures = [
    ["autopilot.open", metrics.open_items, ""],
    ["autopilot.unassigned", metrics.unassigned_open_count, metrics.unassigned_open_count ? "warn-text" : ""],
    ["autopilot.overdue", metrics.overdue_count, metrics.overdue_count ? "late" : ""],
    ["autopilot.critical", metrics.critical_open_count, metrics.critical_open_count ? "late" : ""],
  ];
  return html`<section class="panel"><h2>${t("autopilot.now")}</h2>
    <p><${Chip} kind=${guard.ready && policy.enabled ? "good" : "warn"}>${t(!policy.enabled ? "autopilot.disabled" : guard.ready ? "autopilot.ready" : "autopilot.blocked")}<//>
      ${policy.shadow && html` <${Chip} kind="info">${t("autopilot.shadow")}<//>`}
      <span> ${word("guard", guard.reason)}</span></p>
    ${of.switch.stopped && html`<p>${t("autopilot.stopped-by", { who: of.switch.stopped_by ?? "" })} <${When} at=${of.switch.stopped_at} how="both" /> · ${of.switch.reason}${of.switch.scope === "global" ? html` <span class="quiet">${t("autopilot.stopped-global")}</span>` : ""}</p>`}
    <dl class="figures">${figures.map(([key, count, kind]) => html`<div><dt>${t(String(key))}</dt><dd class=${kind}>${number(Number(count))}</dd></div>`)}</dl>
    <dl class="facts">
      <dt>${t("autopilot.last-run")}</dt><dd><${When} at=${guard.last_run_at} how="both" /></dd>
      ${guard.next_allowed_at && !guard.ready && html`<dt>${t("autopilot.next")}</dt><dd><${When} at=${guard.next_allowed_at} how="both" /></dd>`}
    </dl>
  </section>`;
}

function Anomalies() {
  const asked = useAsked(sited(`${AUTOPILOT}/anomalies`), { on: HEARD });
  return html`<section class="panel"><h2>${t("autopilot.anomalies")}</h2>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
      <p><${Outcome} status=${found.health_status} /> <span class="quiet">${t("autopilot.window", { count: found.window_days })}</span></p>
      ${found.anomalies.length
        ? html`<ul class="changes">${found.anomalies.map((/** @type {any} */ one) => html`<li key=${one.code}><${Outcome} status=${one.severity} /> <span>${one.message} <span class="quiet">${one.recommendation}</span></span></li>`)}</ul>`
        : html`<p class="quiet">${t("autopilot.anomalies.none")}</p>`}`}<//>
  </section>`;
}
