// People: who is there, in which role and where.
import { html } from "../../vendor/preact.js";
import { address, order, path } from "../../api/client.js";
import { askRows, useAsked } from "../../api/asking.js";
import { mayAnywhere } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Paged, usePaged } from "../../parts/paged.js";
import { When } from "../../parts/when.js";
import { BASE, useQueryValue } from "../../router.js";
import { t } from "../../words/index.js";
import { Names, Rows, Section, factorOf, listed, useDeeds } from "./parts.js";

const PAGE = 200;

export default function Users() {
  const [text, setText] = useQueryValue("q");
  const [state, setState] = useQueryValue("state", "active");
  const url = address("/api/users", { limit: PAGE, text: text.trim(), active: state === "all" ? "" : true });
  const users = usePaged(url, "username", { on: ["gateway.user.", "gateway.second_factor."], ask: askRows });
  const roles = useAsked("/api/roles");
  const { ask, dialog } = useDeeds(users.asked.reload);
  const create = () =>
    ask({
      title: t("admin.user.create"),
      fields: [
        { name: "username", label: t("admin.user"), required: true, pattern: "[a-z0-9\\-]{1,40}", hint: t("admin.name.hint") },
        { name: "display_name", label: t("admin.user.display") },
        { name: "role", label: t("admin.role"), value: "viewer", options: (roles.data ?? []).map((/** @type {any} */ one) => [one.role, one.role]) },
        { name: "sites", label: t("admin.sites"), value: "global", hint: t("admin.sites.hint"), required: true },
      ],
      submit: t("admin.create"),
      run: ({ username, display_name, role, sites, _key }) => order("POST", "/api/users", { username, display_name, role, sites: listed(sites) }, { key: _key }),
    });
  const side = mayAnywhere("user:write") && html`<button type="button" class="primary" onClick=${create}>${t("admin.user.create")}</button>`;
  return html`<${Section} title=${t("admin.users")} side=${side}>
    <form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>${t("search")}<br /><input type="search" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label>
      <label><input type="checkbox" checked=${state === "all"} onChange=${(/** @type {any} */ event) => setState(event.target.checked ? "all" : "active")} /> ${t("admin.inactive-too")}</label>
      <p role="status" class="quiet">${users.asked.data && t(users.next ? "admin.people-first" : "admin.people", { count: users.rows.length })}</p>
    </form>
    <${Paged} paged=${users}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.username} empty=${t("admin.none-found")} label=${t("admin.users")} columns=${[
      [t("admin.user"), (/** @type {any} */ one) => html`<a href=${BASE + path`/admin/users/${one.username}`}>${one.username}</a> <span class="quiet">${one.display_name}</span>`],
      [t("admin.role"), (/** @type {any} */ one) => one.role],
      [t("admin.sites"), (/** @type {any} */ one) => html`<${Names} names=${one.sites} />`],
      [t("admin.state"), (/** @type {any} */ one) => html`<${Chip} kind=${one.active ? "good" : "none"}>${t(one.active ? "admin.active" : "admin.inactive")}<//>`],
      [t("admin.second-factor"), (/** @type {any} */ one) => factorOf(one)],
      [t("admin.created"), (/** @type {any} */ one) => html`<${When} at=${one.created_at} />`],
    ]} />`}<//>${dialog}<//>`;
}
