// What fails and is held back, how to have it tried now, how long outages last, how well targets take what they are sent.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { askAllPages, sited, useAsked, useOrder } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Title } from "../../parts/layout.js";
import { lasted } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Paged, usePaged } from "../../parts/paged.js";
import { Empty, Refused, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t, word } from "../../words/index.js";
import { DeliveryTabs, Target } from "./shared.js";

const HEARD = ["notifier.circuit.", "notifier.recovery.", "notifier.delivery."];
const LOOK_MS = 15_000;
const PROBES = { probing: "info", recovered: "good", failed: "bad", skipped: "warn" };
const AT = "/api/ops/alerts";
const MAX_TARGETS = 500; // of one order, as the API has it

export default function Guard() {
  return html`<${Title}>${t("guard.title")}<//><${DeliveryTabs} /><${Circuits} /><${Figures} /><${Mttr} /><${Missed} />`;
}

function Circuits() {
  const circuits = useAsked(sited(`${AT}/channels/guard`, { limit: 100 }), { on: HEARD, every: LOOK_MS, ask: askAllPages });
  const { busy, problem, run } = useOrder();
  const [recovery, setRecovery] = useState(/** @type {any} */ (null));
  const recover = (/** @type {string} */ what, /** @type {any} */ body) => run(() => order("POST", sited(`${AT}/channels/guard/${what}`), body)).then((asked) => {
    if (asked === undefined) return;
    setRecovery(asked);
    say(t("guard.asked", { count: asked.target_count }));
    circuits.reload();
  });
  const writes = may("subscription:write");
  // The key of a row is both its target and its event.
  const items = /** @type {any[]} */ (circuits.data?.items ?? []);
  return html`<section class="panel"><div class="title"><h2>${t("guard.circuits")}</h2>${writes && items.length > 0 && html`<button type="button" disabled=${busy} onClick=${() => recover("recover-batch", { state: "all", max_targets: MAX_TARGETS })}>${t("guard.recover-all")}</button>`}</div>
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <${Shown} asked=${circuits}>${(/** @type {any} */ found) => html`<p class="quiet">${t("guard.rule", { failures: found.failure_threshold, minutes: found.quarantine_minutes })}</p>
      ${items.length ? html`<div class="scroll" tabindex="0"><table><thead><tr>${["target", "event", "state", "failures", "held", "probe", "do"].map((name) => html`<th scope="col">${t(`guard.${name}`)}</th>`)}</tr></thead>
        <tbody>${items.map((one) => html`<tr key="${one.target} ${one.event_type}"><th scope="row"><${Target} ...${one} /></th><td class="mono">${one.event_type}</td>
          <td><${Chip} kind=${one.state === "quarantined" ? "bad" : "warn"}>${word("guard.state", one.state)}<//><p class="quiet">${word("guard.circuit", one.circuit)}</p></td>
          <td>${number(one.consecutive_failures)} <span class="quiet"><${When} at=${one.last_failure_at} /></span><p class="late">${one.error}</p></td>
          <td class="number">${number(one.suppressed_count)}</td><td><${When} at=${one.quarantined_until} /></td>
          <td>${writes && html`<button type="button" disabled=${busy} onClick=${() => recover("recover", { target: one.target, event_type: one.event_type })}>${t("guard.recover")}</button>`}</td></tr>`)}</tbody></table></div>` : html`<${Empty} title=${t("guard.empty")} />`}`}<//>
    ${(items.length > 0 || recovery) && html`<${Latest} asked=${recovery} />`}
  </section>`;
}

/** The probes that were asked for last, until each has its answer. @param {{asked: any}} props */
function Latest({ asked }) {
  const [quick, setQuick] = useState(false);
  const latest = useAsked(sited(`${AT}/channels/guard/recover/latest`), { on: HEARD, every: quick ? 2_000 : undefined });
  const probing = (latest.data?.probing_count ?? 0) > 0;
  if (probing !== quick) setQuick(probing);
  const shown = latest.data && (!asked || latest.data.recovery_id >= asked.recovery_id) ? latest.data : asked;
  if (!shown) return null;
  return html`<section><h3>${t("guard.latest")}</h3><p class="quiet">${shown.asked_by} <${When} at=${shown.asked_at} how="both" /></p>
    <ul class="changes" role="status">${shown.probes.map((/** @type {any} */ one) => html`<li><${Chip} kind=${PROBES[/** @type {keyof typeof PROBES} */ (one.state)] ?? "none"}>${word("guard.probe-state", one.state)}<//> <${Target} ...${one} /> <span class="mono">${one.event_type}</span> ${one.http_status ?? ""} ${one.error ?? ""}</li>`)}</ul></section>`;
}

/** @param {{value: number|null}} props */
const Percent = ({ value }) => html`${value === null ? "–" : `${number(value, { maximumFractionDigits: 1, roundingMode: "trunc" })} %`}`;

function Figures() {
  const asked = useAsked(sited(`${AT}/kpi/channels`), { every: 60_000 });
  return html`<section class="panel"><h2>${t("guard.figures")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ found) => found.windows.map((/** @type {any} */ window) => html`<h3>${t("guard.days", { count: window.days })}</h3>
    ${window.channels.length ? html`<div class="scroll" tabindex="0"><table><thead><tr>${["target", "delivered", "failed", "retrying", "held", "rate", "latency"].map((name) => html`<th scope="col" class=${name === "target" ? "" : "number"}>${t(`guard.${name}`)}</th>`)}</tr></thead>
      <tbody>${window.channels.map((/** @type {any} */ one) => html`<tr key=${one.target}><th scope="row"><${Target} ...${one} /></th>${["delivered_count", "failed_count", "retrying_count", "suppressed_count"].map((name) => html`<td class="number">${number(one[name])}</td>`)}
        <td class="number"><${Percent} value=${one.success_rate_percent} /></td><td class="number">${lasted(one.latency_ms)}</td></tr>`)}</tbody></table></div>` : html`<p class="quiet">${t("guard.figures.empty")}</p>`}`)}<//></section>`;
}

function Mttr() {
  const asked = useAsked(sited(`${AT}/kpi/mttr`), { on: HEARD, every: 60_000 });
  const minutes = (/** @type {number|null} */ value) => (value === null ? "–" : lasted(value * 60_000));
  return html`<section class="panel"><h2>${t("guard.mttr")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ found) => found.windows.map((/** @type {any} */ window) => html`<h3>${t("guard.days", { count: window.days })}</h3>
    <p>${t("guard.mttr.sum", { mttr: minutes(window.mttr_minutes), all: window.incident_count, open: window.unresolved_incidents })}</p>
    ${window.targets.length > 0 && html`<div class="scroll" tabindex="0"><table><thead><tr>${["target", "outages", "mttr", "since"].map((name) => html`<th scope="col">${t(`guard.${name}`)}</th>`)}</tr></thead>
      <tbody>${window.targets.map((/** @type {any} */ one) => html`<tr key=${one.target}><th scope="row"><${Target} ...${one} /></th><td>${number(one.incident_count)}</td><td>${minutes(one.mttr_minutes)}</td><td>${one.open_since ? html`<span class="late"><${When} at=${one.open_since} /></span>` : t("guard.well")}</td></tr>`)}</tbody></table></div>`}`)}<//></section>`;
}

/** What should have been told and was not. */
function Missed() {
  const paged = usePaged(sited(`${AT}/missed`), "missed_id", { on: ["notifier.missed."] });
  const [asks, setAsks] = useState(/** @type {any} */ (null));
  const record = (/** @type {Record<string, string>} */ said) => order("POST", sited(`${AT}/missed`), { what: said.what, happened_at: new Date(said.happened_at).toISOString(), reason: said.reason || null }, { key: said._key });
  const withdraw = (/** @type {Record<string, string>} */ said) => order("POST", sited(path`/api/ops/alerts/missed/${asks.missed_id}/withdraw`), { reason: said.reason }, { key: said._key });
  const done = () => {
    setAsks(null);
    say(t("done"));
    paged.asked.reload();
  };
  const writes = may("remediation:write");
  return html`<section class="panel"><div class="title"><h2>${t("missed.title")}</h2>${writes && html`<button type="button" onClick=${() => setAsks({})}>${t("missed.record")}</button>`}</div>
    <${Paged} paged=${paged}>${(/** @type {any[]} */ rows) => (rows.length ? html`<ul class="changes">${rows.map((one) => html`<li key=${one.missed_id}><strong class=${one.withdrawn_at ? "quiet" : ""}>${one.what}</strong> <${When} at=${one.happened_at} how="both" /> <span class="quiet">${one.recorded_by}${one.reason && ` · ${one.reason}`}</span>
      ${one.withdrawn_at ? html`<${Chip} kind="none">${t("missed.withdrawn", { who: one.withdrawn_by, reason: one.withdrawn_reason })}<//>` : writes && html`<button type="button" class="plain" aria-label=${t("missed.withdraw-one", { what: one.what })} onClick=${() => setAsks(one)}>${t("missed.withdraw")}</button>`}</li>`)}</ul>` : html`<p class="quiet">${t("missed.empty")}</p>`)}<//>
    ${asks && html`<${Dialog} title=${t(asks.missed_id ? "missed.withdraw" : "missed.record")} close=${() => setAsks(null)}>
      <${Form} deed=${asks.missed_id ? withdraw : record} done=${done} submit=${t(asks.missed_id ? "missed.withdraw" : "save")} cancel=${() => setAsks(null)}>
        ${asks.missed_id ? html`<p>${asks.what}</p>` : html`<${Field} name="what" label=${t("missed.what")} required /><${Field} name="happened_at" type="datetime-local" label=${t("missed.when")} required />`}
        <${Field} name="reason" label=${t("reason")} required=${!!asks.missed_id} /><//><//>`}
  </section>`;
}
