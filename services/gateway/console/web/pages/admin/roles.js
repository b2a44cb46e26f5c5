// Roles: what each holds; those of the installation's own can be made and changed.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { mayAll } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { t } from "../../words/index.js";
import { Rows, Section, changing, listed, useDeeds } from "./parts.js";

/** @param {any} [one] */
const fields = (one) => [
  { name: "purpose", label: t("admin.purpose"), value: one?.purpose, required: true },
  { name: "permissions", label: t("admin.token.permissions"), value: one?.permissions.join(" "), rows: 6, required: true, hint: t("admin.role.permissions.hint") },
];
const body = (/** @type {any} */ { permissions, ...said }) => ({ ...said, permissions: listed(permissions) });

/** @returns {import("./parts.js").Deed} */
const creating = () => ({
  title: t("admin.role.create"), why: t("admin.role.why"), submit: t("admin.create"),
  fields: [{ name: "role", label: t("admin.role"), required: true, hint: t("admin.name.hint") }, ...fields()],
  run: ({ _key, ...said }) => order("POST", "/api/roles", body(said), { key: _key }),
});

/** @param {any} one */
const writing = (one) => changing(one, { title: t("admin.role.change", { name: one.role }), why: t("admin.role.why"), url: path`/api/roles/${one.role}`, fields, body });

/** @param {any} one @returns {import("./parts.js").Deed} */
const removing = (one) => ({
  title: t("admin.remove-of", { name: one.role }), why: t("admin.role.remove.why"), danger: true, submit: t("admin.remove"),
  run: ({ _key }) => order("DELETE", path`/api/roles/${one.role}`, undefined, { key: _key }),
});

export default function Roles() {
  const asked = useAsked("/api/roles", { on: ["gateway.role.", "gateway.user."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const write = mayAll("identity:write");
  const side = write && html`<button type="button" class="primary" onClick=${() => ask(creating())}>${t("admin.role.create")}</button>`;
  const deeds = (/** @type {any} */ one) => write && !one.built_in && html`<span class="row-deeds"><button type="button" aria-label=${t("admin.role.change", { name: one.role })} onClick=${() => ask(writing(one))}>${t("admin.do.change")}</button>
    <button type="button" class="danger" aria-label=${t("admin.remove-of", { name: one.role })} onClick=${() => ask(removing(one))}>${t("admin.remove")}</button></span>`;
  return html`<${Section} title=${t("admin.roles")} side=${side}><${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.role} empty=${t("admin.none-found")} label=${t("admin.roles")} columns=${[
    [t("admin.role"), (/** @type {any} */ one) => html`${one.role} ${one.built_in && html`<${Chip} kind="none">${t("admin.role.built-in")}<//>`}`],
    [t("admin.purpose"), (/** @type {any} */ one) => one.purpose],
    [t("admin.role.users"), (/** @type {any} */ one) => one.user_count],
    [t("admin.token.permissions"), (/** @type {any} */ one) => html`<details><summary>${t("admin.role.count", { count: one.permissions.length })}</summary>${one.permissions.join(", ")}</details>`],
    [t("admin.deeds"), deeds],
  ]} />`}<//>${dialog}<//>`;
}
