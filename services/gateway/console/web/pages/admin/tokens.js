// Tokens: of everybody, as far as the reader may see them.
import { html } from "../../vendor/preact.js";
import { address, order, path } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { mayAnywhere, reader } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { t, word } from "../../words/index.js";
import { Names, Rows, Section, inHand, listed, useDeeds } from "./parts.js";

export default function Tokens() {
  const [user, setUser] = useQueryValue("user");
  const [state, setState] = useQueryValue("state", "active");
  return html`<${Section} title=${t("admin.tokens")}>
    <form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>${t("admin.token.holder")}<br /><input type="search" value=${user} onChange=${(/** @type {any} */ event) => setUser(event.target.value.trim())} /></label>
      <label><input type="checkbox" checked=${state === "all"} onChange=${(/** @type {any} */ event) => setState(event.target.checked ? "all" : "active")} /> ${t("admin.tokens.ended-too")}</label>
    </form>
    <${TokenList} user=${user} active=${state !== "all"} /><//>`;
}

const secretOf = (/** @type {any} */ made) => (made.token ? { label: t("admin.token"), value: made.token, note: made.note } : null);

/** The dialog of a new token. @param {string} user @returns {import("./parts.js").Deed} */
function issuing(user) {
  return {
    title: t("admin.token.issue"),
    fields: [
      { name: "label", label: t("admin.token.label"), required: true, hint: t("admin.token.label.hint") },
      { name: "username", label: t("admin.token.holder"), value: user, hint: t("admin.token.holder.hint") },
      { name: "sites", label: t("admin.sites"), value: "*", hint: t("admin.sites.hint"), required: true },
      { name: "permissions", label: t("admin.token.permissions"), hint: t("admin.token.permissions.hint"), rows: 2 },
      { name: "hours", label: t("admin.token.hours"), type: "number", min: 1, hint: t("admin.token.hours.hint") },
    ],
    submit: t("admin.token.issue.go"),
    run: ({ label, username, sites, permissions, hours, _key }) =>
      order("POST", "/api/tokens", {
        label, sites: listed(sites),
        ...(username.trim() && { username: username.trim() }),
        ...(permissions.trim() && { permissions: listed(permissions) }),
        ...(hours && { expires_in_hours: Number(hours) }),
      }, { key: _key }),
    secret: secretOf,
  };
}

/** @param {any} one @returns {import("./parts.js").Deed} */
const rotating = (one) => ({
  title: t("admin.token.rotate", { label: one.label }), why: t("admin.token.rotate.why"), submit: t("admin.token.rotate.go"),
  fields: [{ name: "minutes", label: t("admin.token.overlap"), type: "number", min: 0, value: "60", required: true }],
  run: ({ minutes, _key }) => order("POST", path`/api/tokens/${one.token_id}/rotate`, { overlap_minutes: Number(minutes) }, { key: _key }),
  secret: secretOf,
});

/** @param {any} one @returns {import("./parts.js").Deed} */
const revoking = (one) => ({
  title: t("admin.token.revoke", { label: one.label }), why: t("admin.token.revoke.why"), danger: true, submit: t("admin.tokens.revoke"),
  run: ({ _key }) => order("DELETE", path`/api/tokens/${one.token_id}`, undefined, { key: _key }),
});

/** @param {{user: string, active: boolean}} props */
export function TokenList({ user, active }) {
  const tokens = useAsked(address("/api/tokens", { username: user, active_only: active }), { on: ["gateway.token.", "gateway.tokens."] });
  const { ask, dialog } = useDeeds(tokens.reload);
  // Of others' tokens the API lists to who may not read identity only those of their accounts.
  const accounts = useAsked(mayAnywhere("identity:read") ? address("/api/accounts", { owner: reader()?.username }) : null, { on: ["gateway.account."] });
  const mine = (/** @type {string} */ holder) => inHand(holder) || !mayAnywhere("identity:read") || accounts.data?.some((/** @type {any} */ one) => one.actor === holder);
  const write = mayAnywhere("token:write");
  const deeds = (/** @type {any} */ one) => !one.revoked_at && mine(one.username) && html`<span class="row-deeds">
    <button type="button" aria-label=${t("admin.token.rotate", { label: one.label })} onClick=${() => ask(rotating(one))}>${t("admin.token.rotate.go")}</button>
    <button type="button" aria-label=${t("admin.token.revoke", { label: one.label })} class="danger" onClick=${() => ask(revoking(one))}>${t("admin.tokens.revoke")}</button></span>`;
  return html`${write && html`<p><button type="button" class="primary" onClick=${() => ask(issuing(mine(user) ? user : ""))}>${t("admin.token.issue")}</button></p>`}
    <${Shown} asked=${tokens}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.token_id} empty=${t("admin.tokens.none")} label=${t("admin.tokens")} columns=${[
      [t("admin.token.label"), (/** @type {any} */ one) => html`${one.label}<br /><span class="quiet mono">${one.fingerprint}</span>`],
      [t("admin.token.holder"), (/** @type {any} */ one) => one.username],
      [t("admin.sites"), (/** @type {any} */ one) => html`<${Names} names=${one.sites} />`],
      [t("admin.token.permissions"), (/** @type {any} */ one) => html`<${Names} names=${one.permissions} none=${t("admin.token.all")} />`],
      [t("admin.token.used"), (/** @type {any} */ one) => html`<${When} at=${one.last_used_at} /> <span class="quiet">${one.last_used_address ?? ""}</span>`],
      [t("admin.token.ends"), (/** @type {any} */ one) => one.revoked_at ? html`<${Chip} kind="none">${word("admin.token.revoked", one.revoked_reason ?? "asked")}<//> <${When} at=${one.revoked_at} />` : html`<${When} at=${one.expires_at} />`],
      ...(write ? [[t("admin.deeds"), deeds]] : []),
    ]} />`}<//>${dialog}`;
}
