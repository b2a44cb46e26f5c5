// What people hold beside their role: grants, teams; and links that were shared.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may, mayAnywhere } from "../../api/session.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t, word } from "../../words/index.js";
import { Names, Rows, Section, changing, listed, useDeeds } from "./parts.js";

export default function Grants() {
  return html`<${Section} title=${t("admin.grants")}>
    <section><h2>${t("admin.grants")}</h2><${GrantList} /></section>
    <section><h2>${t("admin.teams")}</h2><${Teams} /></section>
    ${may("share:read") && html`<section><h2>${t("admin.shares")}</h2><${Shares} /></section>`}<//>`;
}

/** @returns {import("./parts.js").Deed} */
const giving = () => ({
  title: t("admin.grant.give"), submit: t("admin.grant.give.go"),
  fields: [
    { name: "username", label: t("admin.user"), required: true },
    { name: "role", label: t("admin.role"), required: true },
    { name: "sites", label: t("admin.sites"), value: "global", hint: t("admin.sites.hint"), required: true },
    { name: "ends_at", label: t("admin.grant.until"), type: "datetime-local", required: true },
    { name: "reason", label: t("reason"), hint: t("reason.hint"), required: true },
  ],
  run: ({ username, role, sites, ends_at, reason, _key }) =>
    order("POST", "/api/grants", { username, role, sites: listed(sites), ends_at: new Date(ends_at).toISOString(), reason }, { key: _key }),
});

function GrantList() {
  const asked = useAsked("/api/grants", { on: ["gateway.grant."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const write = mayAnywhere("user:write");
  const end = (/** @type {any} */ one) =>
    ask({ title: t("admin.grant.end", { id: one.grant_id }), why: t("admin.grant.end.why", { name: one.username, role: one.role }), danger: true, submit: t("admin.end"), run: ({ _key }) => order("DELETE", path`/api/grants/${one.grant_id}`, undefined, { key: _key }) });
  return html`${write && html`<p><button type="button" onClick=${() => ask(giving())}>${t("admin.grant.give")}</button></p>`}
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.grant_id} empty=${t("admin.grants.none")} label=${t("admin.grants")} columns=${[
      [t("admin.user"), (/** @type {any} */ one) => one.username],
      [t("admin.role"), (/** @type {any} */ one) => one.role],
      [t("admin.sites"), (/** @type {any} */ one) => html`<${Names} names=${one.sites} />`],
      [t("admin.grant.until"), (/** @type {any} */ one) => html`<${When} at=${one.ends_at} />`],
      [t("reason"), (/** @type {any} */ one) => html`${one.reason} <span class="quiet">${one.given_by}</span>`],
      ...(write ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<button type="button" aria-label=${t("admin.grant.end", { id: one.grant_id })} onClick=${() => end(one)}>${t("admin.end")}</button>`]] : []),
    ]} />`}<//>${dialog}`;
}

/** Roles of a team as they are typed: `operator@seoul,busan`, one a line. @param {string} text */
const rolesIn = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
  const [role, sites] = line.split("@");
  return { role: role.trim(), sites: listed(sites ?? "global") };
});

/** @param {any} [one] */
const fields = (one) => [
  { name: "purpose", label: t("admin.purpose"), value: one?.purpose, required: true },
  { name: "members", label: t("admin.team.members"), value: one?.members.join(", ") },
  { name: "roles", label: t("admin.roles"), rows: 3, hint: t("admin.team.roles.hint"), value: one?.roles.map((/** @type {any} */ held) => `${held.role}@${held.sites.join(",")}`).join("\n") },
];
const body = (/** @type {any} */ { members, roles, ...said }) => ({ ...said, members: listed(members), roles: rolesIn(roles) });

/** @returns {import("./parts.js").Deed} */
const gathering = () => ({
  title: t("admin.team.create"), submit: t("admin.create"),
  fields: [{ name: "team", label: t("admin.team"), required: true, hint: t("admin.name.hint") }, ...fields()],
  run: ({ _key, ...said }) => order("POST", "/api/teams", body(said), { key: _key }),
});

/** @param {any} one */
const teaming = (one) => changing(one, { title: t("admin.team.change", { name: one.team }), url: path`/api/teams/${one.team}`, fields, body });

function Teams() {
  const asked = useAsked("/api/teams", { on: ["gateway.team."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const write = mayAnywhere("user:write");
  const remove = (/** @type {any} */ one) =>
    ask({ title: t("admin.remove-of", { name: one.team }), why: t("admin.team.remove.why"), danger: true, submit: t("admin.remove"), run: ({ _key }) => order("DELETE", path`/api/teams/${one.team}`, undefined, { key: _key }) });
  return html`${write && html`<p><button type="button" onClick=${() => ask(gathering())}>${t("admin.team.create")}</button></p>`}
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.team} empty=${t("admin.teams.none")} label=${t("admin.teams")} columns=${[
      [t("admin.team"), (/** @type {any} */ one) => html`${one.team}<br /><span class="quiet">${one.purpose}</span>`],
      [t("admin.team.members"), (/** @type {any} */ one) => html`<${Names} names=${one.members} />`],
      [t("admin.roles"), (/** @type {any} */ one) => html`<${Names} names=${one.roles.map((/** @type {any} */ held) => `${held.role} @ ${held.sites.join(" ")}`)} />`],
      ...(write ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<span class="row-deeds"><button type="button" aria-label=${t("admin.team.change", { name: one.team })} onClick=${() => ask(teaming(one))}>${t("admin.do.change")}</button>
        <button type="button" class="danger" aria-label=${t("admin.remove-of", { name: one.team })} onClick=${() => remove(one)}>${t("admin.remove")}</button></span>`]] : []),
    ]} />`}<//>${dialog}`;
}

function Shares() {
  const asked = useAsked(sited("/api/shares"), { on: ["gateway.share."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const end = (/** @type {any} */ one) =>
    ask({ title: t("admin.share.end", { id: one.share_id }), why: t("admin.share.end.why"), danger: true, submit: t("admin.tokens.revoke"), run: ({ _key }) => order("DELETE", sited(path`/api/shares/${one.share_id}`), undefined, { key: _key }) });
  return html`<${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.share_id} empty=${t("admin.shares.none")} label=${t("admin.shares")} columns=${[
    [t("admin.share"), (/** @type {any} */ one) => html`${word("admin.share.kind", one.kind)} · ${one.gate} ${one.subject ?? ""} ${one.version ?? ""}<br /><span class="quiet">${one.label ?? ""} ${one.site}</span>`],
    [t("admin.created"), (/** @type {any} */ one) => html`<${When} at=${one.created_at} /> <span class="quiet">${one.created_by}</span>`],
    [t("admin.token.ends"), (/** @type {any} */ one) => html`<${When} at=${one.revoked_at ?? one.expires_at} />`],
    [t("admin.share.uses"), (/** @type {any} */ one) => t("admin.share.uses-of", { used: one.use_count, most: one.max_uses })],
    ...(may("share:write") ? [[t("admin.deeds"), (/** @type {any} */ one) => !one.revoked_at && html`<button type="button" aria-label=${t("admin.share.end", { id: one.share_id })} onClick=${() => end(one)}>${t("admin.tokens.revoke")}</button>`]] : []),
  ]} />`}<//>${dialog}`;
}
