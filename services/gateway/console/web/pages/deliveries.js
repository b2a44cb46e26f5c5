// Deliveries: which event was sent where, how it went, and sending again what failed.
import { html, useState } from "../vendor/preact.js";
import { order, path } from "../api/client.js";
import { askAllPages, sited, useAsked, useOrder } from "../api/asking.js";
import { may } from "../api/session.js";
import { Dialog } from "../parts/dialog.js";
import { Field, Form } from "../parts/form.js";
import { Title } from "../parts/layout.js";
import { lasted } from "../parts/looking.js";
import { say } from "../parts/notices.js";
import { Paged, usePaged } from "../parts/paged.js";
import { Empty, Refused, Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { BASE, useQueryValue } from "../router.js";
import { t, word } from "../words/index.js";
import { DeliveryTabs, State } from "./deliveries/shared.js";

const HEARD = ["notifier."];
const LOOK_MS = 15_000; // that a delivery went well is no event
const STATES = ["pending", "delivering", "delivered", "retrying", "suppressed", "dead"];

export default function Deliveries() {
  const [state, setState] = useQueryValue("state");
  const [event, setEvent] = useQueryValue("event");
  const [subscription, setSubscription] = useQueryValue("subscription");
  const [channel, setChannel] = useQueryValue("channel");
  const [open, setOpen] = useQueryValue("delivery");
  const [asking, setAsking] = useState(false);
  const names = useNames();
  const paged = usePaged(sited("/api/deliveries", { state, event_name: event, subscription_id: subscription, channel_id: channel, limit: 100 }), "delivery_id", { on: HEARD, every: LOOK_MS });
  const pick = (/** @type {string} */ label, /** @type {string} */ value, /** @type {(value: string) => void} */ set, /** @type {[string, string][]} */ options) => html`<label>${label}<br /><select value=${value} onChange=${(/** @type {any} */ change) => set(change.target.value)}>
    <option value="">${t("all")}</option>${options.map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}</select></label>`;
  return html`<${Title} side=${may("subscription:write") && html`<button type="button" onClick=${() => setAsking(true)}>${t("deliveries.retry-many")}</button>`}>${t("deliveries.title")}<//>
    <${DeliveryTabs} />
    <form class="bar" role="search" onSubmit=${(/** @type {Event} */ sent) => sent.preventDefault()}>
      ${pick(t("deliveries.state"), state, setState, STATES.map((one) => [one, word("deliveries.state", one)]))}
      ${pick(t("deliveries.subscription"), subscription, setSubscription, names.subscriptions)}
      ${names.channels.length > 0 && pick(t("deliveries.channel"), channel, setChannel, names.channels)}
      <label>${t("deliveries.event")}<br /><input type="search" defaultValue=${event} placeholder="governance.gate.decided" onChange=${(/** @type {any} */ change) => setEvent(change.target.value.trim())} /></label>
    </form>
    <${Paged} paged=${paged}>${(/** @type {any[]} */ rows) => (rows.length ? html`<${Rows} rows=${rows} names=${names} open=${setOpen} />` : html`<${Empty} title=${t(state || event || subscription || channel ? "deliveries.none-found" : "deliveries.empty")}><p>${t("deliveries.empty.more")} <a href="${BASE}/deliveries/targets">${t("targets.title")}</a></p><//>`)}<//>
    ${open && html`<${Drawer} key=${open} id=${open} close=${() => setOpen("")} again=${paged.asked.reload} />`}
    ${asking && html`<${RetryMany} names=${names} subscription=${subscription} close=${() => setAsking(false)} done=${paged.asked.reload} />`}`;
}

/** Subscriptions and channels by number, for lists and filters. */
function useNames() {
  const subscriptions = useAsked(sited("/api/subscriptions", { limit: 200 }), { ask: askAllPages, on: ["notifier.subscription."] });
  const channels = useAsked(may("channel:read") ? sited("/api/channels", { limit: 200 }) : null, { ask: askAllPages, on: ["notifier.channel."] });
  return {
    subscriptions: /** @type {[string, string][]} */ ((subscriptions.data?.items ?? []).map((/** @type {any} */ one) => [String(one.subscription_id), one.name])),
    channels: /** @type {[string, string][]} */ ((channels.data?.items ?? []).map((/** @type {any} */ one) => [String(one.channel_id), one.name])),
  };
}

/** Where it goes, by name where that is known. @param {any} one @param {ReturnType<typeof useNames>} names */
function whereTo(one, names) {
  const name = (/** @type {[string, string][]} */ known, /** @type {number} */ id, /** @type {string} */ otherwise) => known.find(([number]) => number === String(id))?.[1] ?? t(otherwise, { id: String(id) });
  return one.subscription_id !== null ? name(names.subscriptions, one.subscription_id, "targets.subscription-no") : name(names.channels, one.channel_id, "targets.channel-no");
}

/** @param {{rows: any[], names: ReturnType<typeof useNames>, open: (id: string) => void}} props */
const Rows = ({ rows, names, open }) => html`<div class="scroll" tabindex="0"><table class="rows"><caption class="hidden">${t("deliveries.title")}</caption><thead><tr>
  ${["number", "event", "to", "state", "attempts", "answer", "made"].map((name) => html`<th scope="col">${t(`deliveries.${name}`)}</th>`)}</tr></thead>
  <tbody>${rows.map((one) => html`<tr key=${one.delivery_id}>
    <th scope="row"><button type="button" class="plain link mono" aria-label=${t("deliveries.open", { id: String(one.delivery_id) })} onClick=${() => open(String(one.delivery_id))}>${one.delivery_id}</button></th>
    <td class="mono">${one.event_name}</td><td>${whereTo(one, names)}${one.purpose !== "subscription" && html` <span class="quiet">${one.purpose}</span>`}</td>
    <td><${State} state=${one.state} />${one.state === "retrying" && html` <span class="quiet">${t("deliveries.next")} <${When} at=${one.due_at} /></span>`}</td>
    <td class="number">${one.attempt_count}</td><td class="wide">${one.http_status ?? ""} ${one.error && html`<span class="late">${one.error}</span>`}</td><td><${When} at=${one.created_at} /></td>
  </tr>`)}</tbody></table></div>`;

/** @param {{id: string, close: () => void, again: () => void}} props */
function Drawer({ id, close, again }) {
  const asked = useAsked(sited(path`/api/deliveries/${id}`), { on: HEARD, every: LOOK_MS });
  const { busy, problem, run } = useOrder();
  const retry = () => run(() => order("POST", sited(path`/api/deliveries/${id}/retry`))).then((done) => {
    if (done === undefined) return;
    say(t("deliveries.retried", { count: 1 }));
    asked.reload();
    again();
  });
  return html`<${Dialog} side title=${t("deliveries.entry", { id })} close=${close}><${Shown} asked=${asked}>${(/** @type {any} */ one) => html`
    <p><${State} state=${one.state} /> <strong class="mono">${one.event_name}</strong></p>
    ${one.error && html`<p class="refused">${one.error}</p>`}${one.note && html`<p class="stale">${one.note}</p>`}
    ${may("subscription:write") && html`<p><button type="button" disabled=${busy} aria-busy=${busy} onClick=${retry}>${t("deliveries.retry")}</button></p>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <dl class="facts"><dt>${t("deliveries.endpoint")}</dt><dd>${one.endpoint || "–"}</dd><dt>${t("deliveries.purpose")}</dt><dd>${one.purpose}</dd>
      <dt>${t("deliveries.made")}</dt><dd><${When} at=${one.created_at} how="both" /></dd>
      ${one.due_at && html`<dt>${t("deliveries.next")}</dt><dd><${When} at=${one.due_at} how="both" /></dd>`}
      ${one.suppressed_at && html`<dt>${t("deliveries.suppressed")}</dt><dd><${When} at=${one.suppressed_at} how="both" /></dd>`}
      <dt>webhook-id</dt><dd><code>${one.webhook_id}</code></dd></dl>
    <section><h3>${t("deliveries.attempts")}</h3>${one.attempts.length ? html`<div class="scroll" tabindex="0"><table><thead><tr>${["at", "answer", "took"].map((name) => html`<th scope="col">${t(`deliveries.${name}`)}</th>`)}</tr></thead>
      <tbody>${one.attempts.toReversed().map((/** @type {any} */ attempt) => html`<tr><td><${When} at=${attempt.at} how="date" /></td><td>${attempt.http_status ?? ""} ${attempt.error ?? ""}</td><td class="number">${lasted(attempt.took_ms)}</td></tr>`)}</tbody></table></div>` : html`<p class="quiet">${t("deliveries.untried")}</p>`}</section>
    ${one.answer_head && html`<section><h3>${t("deliveries.answered")}</h3><pre tabindex="0">${one.answer_head}</pre></section>`}
    ${one.event && html`<section><h3>${t("audit.content")}</h3><pre tabindex="0">${JSON.stringify(one.event, null, 2)}</pre></section>`}`}<//><//>`;
}

/** @param {{names: ReturnType<typeof useNames>, subscription: string, close: () => void, done: () => void}} props */
function RetryMany({ names, subscription, close, done }) {
  const deed = (/** @type {Record<string, string>} */ said) =>
    order("POST", sited("/api/deliveries/retry"), { ...(said.subscription ? { subscription_id: Number(said.subscription) } : {}), ...(said.since ? { since: new Date(said.since).toISOString() } : {}) }, { key: said._key });
  const over = (/** @type {any} */ result) => {
    say(t("deliveries.retried", { count: result.retried_count }) + (result.left_over_count ? ` ${t("deliveries.left-over", { count: result.left_over_count })}` : ""));
    close();
    done();
  };
  return html`<${Dialog} title=${t("deliveries.retry-many")} close=${close}><p>${t("deliveries.retry-many.more")}</p>
    <${Form} deed=${deed} done=${over} submit=${t("deliveries.retry")} cancel=${close}>
      <${Field} name="subscription" label=${t("deliveries.subscription")} value=${subscription} options=${[["", t("all")], ...names.subscriptions]} />
      <${Field} name="since" type="datetime-local" label=${t("deliveries.since")} hint=${t("deliveries.since.hint")} />
    <//><//>`;
}
