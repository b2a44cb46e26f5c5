// Where events go: channels (places where people read) and subscriptions (which events go where), each to be tried out.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { askAllPages, sited, useAsked, useOrder } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Title } from "../../parts/layout.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Empty, Refused, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { t, word } from "../../words/index.js";
import { DeliveryTabs } from "./shared.js";

const STATES = { active: "good", paused: "warn", disabled: "bad" };
const ID = { channels: "channel_id", subscriptions: "subscription_id" };
const STOPS = { channels: "disable", subscriptions: "pause" };
const GOES_ON = { channels: "enable", subscriptions: "resume" };
/** @typedef {"channels"|"subscriptions"} What */

export default function Targets() {
  return html`<${Title}>${t("targets.title")}<//><${DeliveryTabs} />
    <${Group} what="subscriptions" reads="subscription:read" />
    <${Group} what="channels" reads="channel:read" />`;
}

/** @param {{what: What, reads: string}} props */
function Group({ what, reads }) {
  const allowed = may(reads);
  const asked = useAsked(allowed ? sited(`/api/${what}`, { limit: 200 }) : null, { ask: askAllPages, on: [`notifier.${what.slice(0, -1)}.`] });
  const writes = may(what === "channels" ? "channel:write" : "subscription:write");
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState("");
  if (!allowed) return html`<section class="panel"><h2>${t(`targets.${what}`)}</h2><p class="quiet">${t("problem.forbidden.more", { permission: reads })}</p></section>`;
  const made = (/** @type {any} */ result) => {
    setMaking(false);
    if (result.signing_secret) setSecret(result.signing_secret);
    else say(t("done"));
    asked.reload();
  };
  return html`<section class="panel"><div class="title"><h2>${t(`targets.${what}`)}</h2>${writes && html`<button type="button" onClick=${() => setMaking(true)}>${t(`targets.${what}.add`)}</button>`}</div>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => (found.items.length ? html`<ul class="targets">${found.items.map((/** @type {any} */ one) => html`<${One} key=${one[ID[what]]} what=${what} one=${one} writes=${writes} again=${asked.reload} />`)}</ul>` : html`<${Empty} title=${t(`targets.${what}.empty`)}><p>${t(`targets.${what}.empty.more`)}</p><//>`)}<//>
    ${making && html`<${Dialog} title=${t(`targets.${what}.add`)} close=${() => setMaking(false)}>${what === "channels" ? html`<${NewChannel} done=${made} close=${() => setMaking(false)} />` : html`<${NewSubscription} done=${made} close=${() => setMaking(false)} />`}<//>`}
    ${secret && html`<${Dialog} title=${t("targets.secret")} close=${() => setSecret("")}><p>${t("targets.secret.more")}</p><pre tabindex="0">${secret}</pre><button type="button" class="primary" onClick=${() => setSecret("")}>${t("close")}</button><//>`}
  </section>`;
}

/** @param {{what: What, one: any, writes: boolean, again: () => void}} props */
function One({ what, one, writes, again }) {
  const id = one[ID[what]];
  const { busy, problem, run } = useOrder();
  const [asks, setAsks] = useState("");
  const deed = (/** @type {string} */ name, /** @type {any} */ body = undefined) => order("POST", sited(path`/api/${what}/${id}/${name}`), body);
  const now = (/** @type {string} */ name) => run(() => deed(name)).then((done) => {
    if (done === undefined) return;
    say(t(name === "test" ? "targets.tested" : "done"));
    again();
  });
  const stopped = () => {
    setAsks("");
    say(t("done"));
    again();
  };
  const filters = [...(one.gates ?? []), ...(one.rules ?? []), ...(one.roles ?? []), one.condition].filter(Boolean);
  return html`<li><div class="step"><strong>${one.name}</strong> <${Chip} kind=${STATES[/** @type {keyof typeof STATES} */ (one.status)] ?? "none"}>${word("targets.status", one.status)}<//>
      <span class="quiet">${what === "channels" ? `${one.kind} · ${one.address_shown}` : one.endpoint || t("targets.by", { channel: one.channel })}</span>
      <a class="step-time" href="${BASE}/deliveries?${what === "channels" ? "channel" : "subscription"}=${id}" aria-label=${t("targets.deliveries-of", { name: one.name })}>${t("deliveries.title")}</a></div>
    ${one.event_types && html`<p class="mono quiet">${one.event_types.join(", ")}</p>`}
    ${filters.length > 0 && html`<p class="quiet">${t("targets.only")} <span class="mono">${filters.join(" · ")}</span></p>`}
    ${one.status_reason && html`<p class="late">${one.status_reason}</p>`}
    <p class="quiet">${t("targets.changed", { who: one.changed_by })} <${When} at=${one.changed_at} /></p>
    ${writes && html`<div class="form-buttons">
      ${one.status === "active" ? html`<button type="button" disabled=${busy} aria-busy=${busy} onClick=${() => now("test")}>${t("targets.test")}</button>
        <button type="button" disabled=${busy} onClick=${() => setAsks("stop")}>${t(`targets.${STOPS[what]}`)}</button>` : html`<button type="button" disabled=${busy} onClick=${() => now(GOES_ON[what])}>${t("targets.go-on")}</button>`}
      <button type="button" disabled=${busy} onClick=${() => setAsks("remove")}>${t("targets.remove")}</button></div>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    ${asks === "stop" && html`<${Dialog} title=${t(`targets.${STOPS[what]}`)} close=${() => setAsks("")}><p>${t(`targets.${STOPS[what]}.more`, { name: one.name })}</p>
      <${Form} deed=${(/** @type {any} */ said) => deed(STOPS[what], { reason: said.reason || null })} done=${stopped} submit=${t(`targets.${STOPS[what]}`)} cancel=${() => setAsks("")}><${Field} name="reason" label=${t("reason")} hint=${t("reason.hint")} /><//><//>`}
    ${asks === "remove" && html`<${Dialog} title=${t("targets.remove")} close=${() => setAsks("")}><p>${t("targets.remove.more", { name: one.name })}</p>
      <${Form} danger deed=${() => order("DELETE", sited(path`/api/${what}/${id}`))} done=${stopped} submit=${t("targets.remove")} cancel=${() => setAsks("")} /><//>`}
  </li>`;
}

/** @param {{done: (result: any) => void, close: () => void}} props */
function NewChannel({ done, close }) {
  const deed = (/** @type {Record<string, string>} */ said) => order("POST", sited("/api/channels"), { name: said.name, kind: said.kind, language: said.language, address: said.address.trim() }, { key: said._key });
  return html`<${Form} deed=${deed} done=${done} submit=${t("save")} cancel=${close}>
    <${Field} name="name" label=${t("targets.name")} required /><${Field} name="kind" label=${t("targets.kind")} value="slack" options=${["slack", "teams", "email", "pagerduty", "generic"].map((one) => [one, one])} />
    <${Field} name="address" label=${t("targets.address")} hint=${t("targets.address.hint")} autocomplete="off" required />
    <${Field} name="language" label=${t("language")} value="en" options=${[["en", "English"], ["ko", "한국어"]]} /><//>`;
}

/** @param {{done: (result: any) => void, close: () => void}} props */
function NewSubscription({ done, close }) {
  const channels = useAsked(may("channel:read") ? sited("/api/channels", { limit: 200 }) : null, { ask: askAllPages });
  const [by, setBy] = useState("webhook");
  const deed = (/** @type {Record<string, string>} */ said) =>
    order("POST", sited("/api/subscriptions"), { name: said.name, event_types: said.event_types.split(/[\s,]+/).filter(Boolean), channel: by, condition: said.condition, ...(by === "webhook" ? { endpoint: said.endpoint.trim() } : {}) }, { key: said._key });
  const names = ["webhook", ...(channels.data?.items ?? []).map((/** @type {any} */ one) => one.name)];
  return html`<${Form} deed=${deed} done=${done} submit=${t("save")} cancel=${close}>
    <${Field} name="name" label=${t("targets.for")} required /><${Field} name="event_types" label=${t("targets.events")} hint=${t("targets.events.hint")} value="governance.gate.decided" required />
    <div class="field"><label for="new-by">${t("deliveries.channel")}</label><select id="new-by" value=${by} onChange=${(/** @type {any} */ event) => setBy(event.target.value)}>${names.map((one) => html`<option value=${one} selected=${one === by}>${one}</option>`)}</select></div>
    ${by === "webhook" && html`<${Field} name="endpoint" type="url" label=${t("deliveries.endpoint")} placeholder="https://" required />`}
    <${Field} name="condition" label=${t("targets.condition")} hint=${t("targets.condition.hint")} /><//>`;
}
