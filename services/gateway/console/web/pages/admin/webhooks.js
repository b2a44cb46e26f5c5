// Who sends signals by webhooks, and who reads events on the bus.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t } from "../../words/index.js";
import { Names, Rows, Section, useDeeds } from "./parts.js";

export default function Webhooks() {
  return html`<${Section} title=${t("admin.webhooks")}><${Hooks} />
    ${may("event:read") && html`<section><h2>${t("admin.subscribers")}</h2><${Subscribers} /></section>`}<//>`;
}

const secretOf = (/** @type {any} */ made) => (made.secret ? { label: t("admin.webhook.secret", { path: made.path }), value: made.secret, note: made.note } : null);

/** Subjects as they are typed: `acme/shop=shop`, one a line. @param {string} text */
const subjectsIn = (text) => Object.fromEntries(text.split("\n").map((line) => line.split("=").map((part) => part.trim())).filter(([from, to]) => from && to));

/** @returns {import("./parts.js").Deed} */
const creating = () => ({
  title: t("admin.webhook.create"), submit: t("admin.create"), secret: secretOf,
  fields: [
    { name: "name", label: t("admin.webhook"), required: true, hint: t("admin.name.hint") },
    { name: "system", label: t("admin.webhook.system"), value: "github", options: [["github", "GitHub"], ["gitlab", "GitLab"]] },
    { name: "subjects", label: t("admin.webhook.subjects"), rows: 3, hint: t("admin.webhook.subjects.hint") },
  ],
  run: ({ name, system, subjects, _key }) => order("POST", sited("/api/webhooks"), { name, system, subjects: subjectsIn(subjects) }, { key: _key }),
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
      [t("admin.webhook.subjects"), (/** @type {any} */ one) => html`<${Names} names=${Object.entries(one.subjects).map(([from, to]) => `${from} → ${to}`)} />`],
      [t("admin.created"), (/** @type {any} */ one) => html`<${When} at=${one.created_at} /> <span class="quiet">${one.created_by}</span> ${one.orphaned && html`<${Chip} kind="bad">${t("admin.account.orphaned")}<//>`}`],
      ...(write ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<span class="row-deeds"><button type="button" aria-label=${t("admin.token.rotate", { label: one.name })} onClick=${() => rotate(one)}>${t("admin.token.rotate.go")}</button>
        <button type="button" class="danger" aria-label=${t("admin.remove-of", { name: one.name })} onClick=${() => remove(one)}>${t("admin.remove")}</button></span>`]] : []),
    ]} />`}<//>${dialog}`;
}

function Subscribers() {
  const asked = useAsked("/api/subscribers", { on: ["gateway.subscriber."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const remove = (/** @type {any} */ one) =>
    ask({ title: t("admin.remove-of", { name: one.name }), why: t("admin.subscriber.remove.why"), danger: true, submit: t("admin.remove"), run: ({ _key }) => order("DELETE", path`/api/subscribers/${one.subscriber_id}`, undefined, { key: _key }) });
  return html`<${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found.filter((one) => !one.removed_at)} keyOf=${(/** @type {any} */ one) => one.subscriber_id} empty=${t("admin.subscribers.none")} label=${t("admin.subscribers")} columns=${[
    [t("admin.subscriber"), (/** @type {any} */ one) => html`${one.name}<br /><span class="quiet">${one.label ?? ""} ${one.owner}</span>`],
    [t("admin.sites"), (/** @type {any} */ one) => html`<${Names} names=${one.sites} />`],
    [t("admin.subscriber.types"), (/** @type {any} */ one) => html`<${Names} names=${one.types} none=${t("all")} />`],
    [t("admin.subscriber.pending"), (/** @type {any} */ one) => html`${number(one.pending_count ?? 0)} ${one.gap_at && html`<${Chip} kind="bad">${t("admin.subscriber.gap")}<//>`}`],
    [t("admin.subscriber.read"), (/** @type {any} */ one) => html`<${When} at=${one.last_ack_at} />`],
    ...(may("subscriber:write") ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<button type="button" aria-label=${t("admin.remove-of", { name: one.name })} onClick=${() => remove(one)}>${t("admin.remove")}</button>`]] : []),
  ]} />`}<//>${dialog}`;
}
