// Who sends signals by webhooks, and who reads events on the bus.
import { html } from "../../vendor/preact.js";
import { get, order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may, mayAnywhere, reader } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t } from "../../words/index.js";
import { Names, Rows, Section, changing, inHand, listed, useDeeds } from "./parts.js";

export default function Webhooks() {
  return html`<${Section} title=${t("admin.webhooks")}><${Hooks} />
    ${mayAnywhere("event:read") && html`<section><h2>${t("admin.subscribers")}</h2><${Subscribers} /></section>`}<//>`;
}

const secretOf = (/** @type {any} */ made) => (made.secret ? { label: t("admin.webhook.secret", { path: made.path }), value: made.secret, note: made.note } : null);

/** Subjects as they are typed: `acme/shop=shop`, one a line. @param {string} text */
const subjectsIn = (text) => Object.fromEntries(text.split("\n").map((line) => line.split("=").map((part) => part.trim())).filter(([from, to]) => from && to));

/** Whom deliveries are about, as fields. @param {any} [one] as it is now */
const mapping = (one) => [
  { name: "subjects", label: t("admin.webhook.subjects"), rows: 3, hint: t("admin.webhook.subjects.hint"), value: Object.entries(one?.subjects ?? {}).map(([from, to]) => `${from}=${to}`).join("\n") },
  { name: "version_from", label: t("admin.webhook.version"), value: one?.version_from ?? "sha", options: [["sha", t("admin.webhook.version.sha")], ["ref", t("admin.webhook.version.ref")]] },
  { name: "refs", label: t("admin.webhook.refs"), hint: t("admin.webhook.refs.hint"), value: (one?.refs ?? []).join(" ") },
  { name: "drop_prefix", label: t("admin.webhook.prefix"), hint: t("admin.webhook.prefix.hint"), value: one?.drop_prefix ?? "" },
];

/** What was typed there. @param {Record<string, string>} said */
const mapped = ({ subjects, version_from, refs, drop_prefix }) => ({ subjects: subjectsIn(subjects), version_from, refs: listed(refs), drop_prefix: drop_prefix.trim() });

/** @returns {import("./parts.js").Deed} */
const creating = () => ({
  title: t("admin.webhook.create"), submit: t("admin.create"), secret: secretOf,
  fields: [
    { name: "name", label: t("admin.webhook"), required: true, hint: t("admin.name.hint") },
    { name: "system", label: t("admin.webhook.system"), value: "github", options: [["github", "GitHub"], ["gitlab", "GitLab"]] },
    { name: "label", label: t("admin.purpose") },
    ...mapping(),
  ],
  run: ({ name, system, label, _key, ...said }) => order("POST", sited("/api/webhooks"), { name, system, label: label.trim() || null, ...mapped(said) }, { key: _key }),
});

/** @param {any} one */
const mappingAnew = (one) => changing(one, {
  title: t("admin.webhook.change", { name: one.name }), why: t("admin.webhook.change.why"), url: sited(path`/api/webhooks/${one.webhook_id}`), whole: true,
  fields: mapping, body: mapped,
  read: async () => (await get(sited("/api/webhooks"))).find((/** @type {any} */ now) => now.webhook_id === one.webhook_id) ?? one,
});

function Hooks() {
  const asked = useAsked(sited("/api/webhooks"), { on: ["gateway.webhook."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const write = may("webhook:write");
  const rotate = (/** @type {any} */ one) =>
    ask({ title: t("admin.token.rotate", { label: one.name }), why: t("admin.webhook.rotate.why"), submit: t("admin.token.rotate.go"), secret: secretOf,
      fields: [{ name: "hours", label: t("admin.webhook.overlap"), type: "number", min: 0, value: "24", required: true }],
      run: ({ hours, _key }) => order("POST", sited(path`/api/webhooks/${one.webhook_id}/rotate`), { overlap_hours: Number(hours) }, { key: _key }) });
  const remove = (/** @type {any} */ one) =>
    ask({ title: t("admin.remove-of", { name: one.name }), why: t("admin.webhook.remove.why"), danger: true, submit: t("admin.remove"), run: ({ _key }) => order("DELETE", sited(path`/api/webhooks/${one.webhook_id}`), undefined, { key: _key }) });
  return html`${write && html`<p><button type="button" class="primary" onClick=${() => ask(creating())}>${t("admin.webhook.create")}</button></p>`}
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found.filter((one) => !one.removed_at)} keyOf=${(/** @type {any} */ one) => one.webhook_id} empty=${t("admin.webhooks.none")} label=${t("admin.webhooks")} columns=${[
      [t("admin.webhook"), (/** @type {any} */ one) => html`${one.name}<br /><span class="quiet mono">${one.path}</span>`],
      [t("admin.webhook.system"), (/** @type {any} */ one) => one.system],
      [t("admin.webhook.subjects"), (/** @type {any} */ one) => html`<${Names} names=${Object.entries(one.subjects).map(([from, to]) => `${from} → ${to}`)} none=${t("all")} /><br />
        <span class="quiet">${t(`admin.webhook.version.${one.version_from}`)} ${one.refs.join(" ")} ${one.drop_prefix}</span>`],
      [t("admin.created"), (/** @type {any} */ one) => html`<${When} at=${one.created_at} /> <span class="quiet">${one.created_by}</span> ${one.orphaned && html`<${Chip} kind="bad">${t("admin.account.orphaned")}<//>`}`],
      ...(write ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<span class="row-deeds"><button type="button" aria-label=${t("admin.webhook.change", { name: one.name })} onClick=${() => ask(mappingAnew(one))}>${t("admin.do.change")}</button>
        <button type="button" aria-label=${t("admin.token.rotate", { label: one.name })} onClick=${() => rotate(one)}>${t("admin.token.rotate.go")}</button>
        <button type="button" class="danger" aria-label=${t("admin.remove-of", { name: one.name })} onClick=${() => remove(one)}>${t("admin.remove")}</button></span>`]] : []),
    ]} />`}<//>${dialog}`;
}

/** @returns {import("./parts.js").Deed} */
const subscribing = () => ({
  title: t("admin.subscriber.create"), why: t("admin.subscriber.create.why"), submit: t("admin.create"),
  fields: [
    { name: "name", label: t("admin.subscriber"), required: true, hint: t("admin.name.hint") },
    { name: "label", label: t("admin.purpose") },
    { name: "sites", label: t("admin.sites"), value: "*", hint: t("admin.sites.hint"), required: true },
    { name: "types", label: t("admin.subscriber.types"), value: "*", hint: t("admin.subscriber.types.hint"), required: true },
    { name: "owner", label: t("admin.subscriber.owner"), value: reader()?.username, required: true },
    { name: "start", label: t("admin.subscriber.start"), value: "now", options: ["now", "oldest"].map((one) => [one, t(`admin.subscriber.start.${one}`)]) },
  ],
  run: ({ name, label, sites, types, owner, start, _key }) =>
    order("POST", "/api/subscribers", { name, label: label.trim() || null, sites: listed(sites), types: listed(types), owner: owner.trim(), start }, { key: _key }),
});

/** What the other system needs to come in and pull. @param {{of: any}} props */
const LogsIn = ({ of }) => html`<details><summary>${t("admin.subscriber.in")}</summary><dl class="facts">
  ${[["user", of.user], ["password", t("admin.subscriber.in.token", { name: of.owner })], ["stream", of.stream], ["durable", of.user], ["prefix", "headgate.subscriber"], ["inbox", of.inbox_prefix]].map(([name, value]) => html`<dt>${t(`admin.subscriber.in.${name}`)}</dt><dd class="mono">${value}</dd>`)}</dl></details>`;

function Subscribers() {
  const asked = useAsked("/api/subscribers", { on: ["gateway.subscriber."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const remove = (/** @type {any} */ one) =>
    ask({ title: t("admin.remove-of", { name: one.name }), why: t("admin.subscriber.remove.why"), danger: true, submit: t("admin.remove"), run: ({ _key }) => order("DELETE", path`/api/subscribers/${one.subscriber_id}`, undefined, { key: _key }) });
  return html`${mayAnywhere("subscriber:write") && html`<p><button type="button" onClick=${() => ask(subscribing())}>${t("admin.subscriber.create")}</button></p>`}
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found.filter((one) => !one.removed_at)} keyOf=${(/** @type {any} */ one) => one.subscriber_id} empty=${t("admin.subscribers.none")} label=${t("admin.subscribers")} columns=${[
    [t("admin.subscriber"), (/** @type {any} */ one) => html`${one.name}<br /><span class="quiet">${one.label ?? ""} ${one.owner}</span><${LogsIn} of=${one} />`],
    [t("admin.sites"), (/** @type {any} */ one) => html`<${Names} names=${one.sites} />`],
    [t("admin.subscriber.types"), (/** @type {any} */ one) => html`<${Names} names=${one.types} none=${t("all")} />`],
    [t("admin.subscriber.pending"), (/** @type {any} */ one) => html`${number(one.pending_count ?? 0)} ${one.gap_at && html`<${Chip} kind="bad">${t("admin.subscriber.gap")}<//>`}`],
    [t("admin.subscriber.read"), (/** @type {any} */ one) => html`<${When} at=${one.last_ack_at} />`],
    ...(mayAnywhere("subscriber:write") ? [[t("admin.deeds"), (/** @type {any} */ one) => inHand(one.owner) && html`<button type="button" aria-label=${t("admin.remove-of", { name: one.name })} onClick=${() => remove(one)}>${t("admin.remove")}</button>`]] : []),
  ]} />`}<//>${dialog}`;
}
