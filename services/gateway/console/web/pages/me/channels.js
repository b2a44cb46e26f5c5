// Where a person is told of what concerns them: channels of one's own.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { askAllPages, useAsked } from "../../api/asking.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { LANGUAGES, languageNow, t, word } from "../../words/index.js";
import { Rows, useDeeds } from "../admin/parts.js";

const KINDS = ["slack", "teams", "email", "pagerduty", "generic"];

export function Channels() {
  const asked = useAsked("/api/me/channels?limit=100", { on: ["notifier.channel."], ask: askAllPages });
  const { ask, dialog } = useDeeds(asked.reload);
  return html`<p><button type="button" onClick=${() => ask(creating())}>${t("me.channel.create")}</button></p>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Rows} rows=${found.items.filter((/** @type {any} */ one) => one.status !== "removed")} keyOf=${(/** @type {any} */ one) => one.channel_id} empty=${t("me.channels.none")} label=${t("me.channels")} columns=${[
      [t("me.channel.name"), (/** @type {any} */ one) => one.name],
      [t("me.channel.kind"), (/** @type {any} */ one) => word("me.channel.kinds", one.kind)],
      [t("me.channel.address"), (/** @type {any} */ one) => one.address_shown],
      [t("admin.state"), (/** @type {any} */ one) => html`<${Chip} kind=${one.status === "active" ? "good" : "none"}>${word("me.channel.status", one.status)}<//> <span class="quiet">${one.status_reason}</span>`],
      [t("admin.deeds"), (/** @type {any} */ one) => html`<span class="row-deeds">${deedsOf(one).map((deed) => html`<button type="button" class=${deed.danger ? "danger" : ""} aria-label=${deed.title} onClick=${() => ask(deed)}>${deed.submit}</button>`)}</span>`],
    ]} />`}<//>${dialog}`;
}

/** @returns {import("../admin/parts.js").Deed} */
const creating = () => ({
  title: t("me.channel.create"), submit: t("admin.create"),
  fields: [
    { name: "name", label: t("me.channel.name"), required: true, hint: t("admin.name.hint") },
    { name: "kind", label: t("me.channel.kind"), value: "email", options: KINDS.map((one) => [one, word("me.channel.kinds", one)]) },
    { name: "address", label: t("me.channel.address"), hint: t("me.channel.address.hint"), required: true, autocomplete: "off" },
    { name: "language", label: t("language"), value: languageNow(), options: Object.entries(LANGUAGES) },
  ],
  run: ({ name, kind, address, language, _key }) => order("POST", "/api/me/channels", { name, kind, address, language }, { key: _key }),
});

/** @param {any} one @returns {import("../admin/parts.js").Deed[]} */
function deedsOf(one) {
  const at = (/** @type {string} */ rest) => path`/api/me/channels/${one.channel_id}` + rest;
  const on = one.status === "active";
  return [
    ...(on ? [{ title: t("me.channel.test", { name: one.name }), why: t("me.channel.test.why"), submit: t("me.channel.test.go"), run: (/** @type {any} */ { _key }) => order("POST", at("/test"), {}, { key: _key }) }] : []),
    on
      ? { title: t("me.channel.disable", { name: one.name }), why: t("me.channel.disable.why"), submit: t("me.channel.disable.go"), run: (/** @type {any} */ { _key }) => order("POST", at("/disable"), {}, { key: _key }) }
      : { title: t("me.channel.enable", { name: one.name }), submit: t("me.channel.enable.go"), run: (/** @type {any} */ { _key }) => order("POST", at("/enable"), {}, { key: _key }) },
    { title: t("me.channel.remove", { name: one.name }), why: t("me.channel.disable.why"), danger: true, submit: t("admin.remove"), run: (/** @type {any} */ { _key }) => order("DELETE", at(""), undefined, { key: _key }) },
  ];
}
