// Service accounts: callers that are no persons, and who answers for them.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { askRows } from "../../api/asking.js";
import { mayAll, reader } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Paged, usePaged } from "../../parts/paged.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { t } from "../../words/index.js";
import { Names, Rows, Section, changing, listed, useDeeds } from "./parts.js";

const ROLES = /** @type {[string, string][]} */ (["viewer", "operator", "auditor", "manager"].map((one) => [one, one]));

/** @param {any} [one] */
const fields = (one) => [
  { name: "purpose", label: t("admin.purpose"), value: one?.purpose, required: true },
  { name: "owner", label: t("admin.account.owner"), value: one?.owner ?? reader()?.username, required: true, hint: one && t("admin.account.owner.hint") },
  { name: "role", label: t("admin.role"), value: one?.role ?? "operator", options: ROLES },
  { name: "sites", label: t("admin.sites"), value: one?.sites.join(", ") ?? "global", hint: t("admin.sites.hint"), required: true },
];
const body = (/** @type {any} */ { sites, ...said }) => ({ ...said, sites: listed(sites) });

/** @returns {import("./parts.js").Deed} */
const creating = () => ({
  title: t("admin.account.create"), submit: t("admin.create"),
  fields: [{ name: "name", label: t("admin.account"), required: true, hint: t("admin.name.hint") }, ...fields()],
  run: ({ _key, ...said }) => order("POST", "/api/accounts", body(said), { key: _key }),
});

/** @param {any} one */
const writing = (one) => changing(one, { title: t("admin.account.change", { name: one.name }), url: path`/api/accounts/${one.name}`, fields, body });

/** @param {any} one @returns {import("./parts.js").Deed} */
const switching = (one) => ({
  title: t(one.active ? "admin.user.stop" : "admin.user.start", { name: one.name }), why: t(one.active ? "admin.account.stop.why" : "admin.account.start.why"), danger: one.active,
  submit: t(one.active ? "admin.user.stop.go" : "admin.user.start.go"),
  run: ({ _key }) => order("PATCH", path`/api/accounts/${one.name}`, { active: !one.active }, { key: _key }),
});

export default function Accounts() {
  const accounts = usePaged("/api/accounts?limit=200", "actor", { on: ["gateway.account.", "gateway.token."], ask: askRows });
  const { ask, dialog } = useDeeds(accounts.asked.reload);
  const write = mayAll("identity:write");
  const deeds = (/** @type {any} */ one) => html`<span class="row-deeds"><button type="button" aria-label=${t("admin.account.change", { name: one.name })} onClick=${() => ask(writing(one))}>${t("admin.do.change")}</button>
    <button type="button" aria-label=${switching(one).title} onClick=${() => ask(switching(one))}>${switching(one).submit}</button></span>`;
  return html`<${Section} title=${t("admin.accounts")} side=${write && html`<button type="button" class="primary" onClick=${() => ask(creating())}>${t("admin.account.create")}</button>`}>
    <${Paged} paged=${accounts}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.name} empty=${t("admin.accounts.none")} label=${t("admin.accounts")} columns=${[
      [t("admin.account"), (/** @type {any} */ one) => html`<a href="${BASE}/admin/tokens?user=${encodeURIComponent(one.actor)}">${one.actor}</a><br /><span class="quiet">${one.purpose}</span>`],
      [t("admin.account.owner"), (/** @type {any} */ one) => html`${one.owner} ${one.orphaned && html`<${Chip} kind="bad">${t("admin.account.orphaned")}<//>`}`],
      [t("admin.role"), (/** @type {any} */ one) => one.role],
      [t("admin.sites"), (/** @type {any} */ one) => html`<${Names} names=${one.sites} />`],
      [t("admin.state"), (/** @type {any} */ one) => html`<${Chip} kind=${one.active ? "good" : "none"}>${t(one.active ? "admin.active" : "admin.inactive")}<//>`],
      [t("admin.tokens"), (/** @type {any} */ one) => one.live_token_count],
      [t("admin.token.used"), (/** @type {any} */ one) => html`<${When} at=${one.last_used_at} />`],
      ...(write ? [[t("admin.deeds"), deeds]] : []),
    ]} />`}<//>${dialog}<//>`;
}
