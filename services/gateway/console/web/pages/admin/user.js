// One person: what they may, how they come in, and what can be taken from them.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { may, mayAll, mayAnywhere, reader } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { t } from "../../words/index.js";
import { Names, Rows, Section, changing, factorOf, inHand, listed, useDeeds } from "./parts.js";

/** @param {{name: string}} props */
export default function User({ name }) {
  const user = useAsked(path`/api/users/${name}`, { on: ["gateway.user.", "gateway.grant.", "gateway.team.", "gateway.second_factor."] });
  const sessions = useAsked(path`/api/users/${name}/sessions`, { on: ["gateway.session."] });
  const passwords = useAsked(path`/api/passwords?username=${name}`, { on: ["gateway.password."] });
  const reload = () => [user, sessions, passwords].forEach((one) => one.reload());
  const { ask, dialog } = useDeeds(reload);
  return html`<${Section} title=${name} side=${html`<a href="${BASE}/admin/tokens?user=${encodeURIComponent(name)}">${t("admin.tokens")}</a>`}>
    <${Shown} asked=${user}>${(/** @type {any} */ found) => html`
      <div class="panel"><h2>${t("admin.user.who")}</h2><${Facts} user=${found} kept=${passwords.data?.[0]} /></div>
      <${Deeds} user=${found} ask=${ask} />`}<//>
    <h2>${t("admin.sessions")}</h2>
    <${Shown} asked=${sessions}>${(/** @type {any[]} */ found) => html`<${Sessions} name=${name} sessions=${found} ask=${ask} />`}<//>
    ${dialog}<//>`;
}

/** @param {{user: any, kept: any}} props */
function Facts({ user, kept }) {
  return html`<dl class="facts">
    <dt>${t("admin.user.display")}</dt><dd>${user.display_name || "–"}</dd>
    <dt>${t("admin.role")}</dt><dd>${user.role}</dd>
    <dt>${t("admin.sites")}</dt><dd><${Names} names=${user.sites} /></dd>
    <dt>${t("admin.state")}</dt><dd><${Chip} kind=${user.active ? "good" : "none"}>${t(user.active ? "admin.active" : "admin.inactive")}<//></dd>
    <dt>${t("admin.password")}</dt><dd>${kept?.set_at ? html`<${When} at=${kept.set_at} />` : kept?.code_until ? html`${t("admin.password.code-until")} <${When} at=${kept.code_until} />` : t("none")}</dd>
    <dt>${t("admin.second-factor")}</dt><dd>${factorOf(user)}</dd>
    <dt>${t("admin.created")}</dt><dd><${When} at=${user.created_at} how="both" /></dd>
  </dl>`;
}

/** What may be done with a person, by the right that it takes. @param {any} user
 * @returns {[string, string, import("./parts.js").Deed][]} key, permission, deed */
function deedsOf(user) {
  const name = user.username;
  const at = (/** @type {string} */ rest) => path`/api/users/${name}` + rest;
  const danger = true;
  return [
    ["change", "user:write", changing(user, {
      title: t("admin.user.change", { name }), url: at(""),
      fields: (one) => [
        { name: "display_name", label: t("admin.user.display"), value: one.display_name },
        { name: "role", label: t("admin.role"), value: one.role, required: true },
        { name: "sites", label: t("admin.sites"), value: one.sites.join(", "), hint: t("admin.sites.hint"), required: true },
      ],
      body: ({ sites, ...said }) => ({ ...said, sites: listed(sites) }),
    })],
    ["active", "user:write", user.active
      ? { title: t("admin.user.stop", { name }), why: t("admin.user.stop.why"), danger, submit: t("admin.user.stop.go"), run: ({ _key }) => order("PATCH", at(""), { active: false }, { key: _key }) }
      : { title: t("admin.user.start", { name }), why: t("admin.user.start.why"), submit: t("admin.user.start.go"), run: ({ _key }) => order("PATCH", at(""), { active: true }, { key: _key }) }],
    ["code", "identity:write", {
      title: t("admin.password.code", { name }), why: t("admin.password.code.why"), submit: t("admin.password.code.go"),
      run: ({ _key }) => order("POST", at("/password-code"), {}, { key: _key }),
      secret: (made) => made.code ? { label: t("admin.password.code.label"), value: made.code, note: made.note } : null,
    }],
    ["password", "identity:write", { title: t("admin.password.remove", { name }), why: t("admin.password.remove.why"), danger, submit: t("admin.remove"), run: ({ _key }) => order("DELETE", at("/password"), undefined, { key: _key }) }],
    ["factor", "identity:write", { title: t("admin.factor.reset", { name }), why: t("admin.factor.reset.why"), danger, submit: t("admin.factor.reset.go"), run: ({ _key }) => order("DELETE", at("/second-factor"), undefined, { key: _key }) }],
    ["sessions", "user:write", { title: t("admin.sessions.end-all", { name }), why: t("admin.sessions.end-all.why"), danger, submit: t("admin.sessions.end-all.go"), run: ({ _key }) => order("POST", at("/sessions/revoke"), {}, { key: _key }) }],
    ["tokens", inHand(name) ? "token:write" : "identity:write", { title: t("admin.tokens.revoke-all", { name }), why: t("admin.tokens.revoke-all.why"), danger, submit: t("admin.tokens.revoke"), run: ({ _key }) => order("POST", at("/tokens/revoke"), {}, { key: _key }) }],
    ...(user.active ? [] : erasing(name)),
  ];
}

/** Only who is inactive can be erased. @param {string} name @returns {[string, string, import("./parts.js").Deed][]} */
function erasing(name) {
  return [
    ["erase", "identity:write", {
      title: t("admin.erase", { name }), why: t("admin.erase.why"), danger: true, submit: t("admin.erase.go"), typed: name,
      fields: [{ name: "reason", label: t("reason"), hint: t("reason.hint"), required: true }],
      run: ({ reason, _key }) => order("POST", path`/api/users/${name}/erase`, { reason }, { key: _key }),
    }],
  ];
}

/** @param {{user: any, ask: (deed: any) => void}} props */
function Deeds({ user, ask }) {
  const own = user.username === reader()?.username;
  // Within one's sites; what is of identity, or of others' tokens, takes all sites.
  const offered = deedsOf(user).filter(([, right]) => (right === "user:write" ? user.sites.every((/** @type {string} */ one) => may(right, one)) : own && right === "token:write" ? mayAnywhere(right) : mayAll("identity:write")));
  if (!offered.length) return null;
  return html`<div class="panel"><h2>${t("admin.deeds")}</h2>${own && html`<p class="quiet">${t("admin.user.own")}</p>`}
    <div class="form-buttons deeds">${offered.map(([key, , deed]) => html`<button type="button" class=${deed.danger ? "danger" : ""} onClick=${() => ask(deed)}>${t(`admin.do.${key}${key === "active" && !user.active ? "-again" : ""}`)}</button>`)}</div></div>`;
}

/** @param {{name: string, sessions: any[], ask: (deed: any) => void}} props */
function Sessions({ name, sessions, ask }) {
  const end = (/** @type {any} */ one) =>
    ask({ title: t("admin.session.end", { id: one.session_id }), why: t("admin.session.end.why"), danger: true, submit: t("admin.end"), run: (/** @type {any} */ { _key }) => order("DELETE", path`/api/users/${name}/sessions/${one.session_id}`, undefined, { key: _key }) });
  return html`<${SessionRows} sessions=${sessions} end=${mayAnywhere("user:write") ? end : null} />`;
}

/** @param {{sessions: any[], end: ((one: any) => void)|null}} props */
export function SessionRows({ sessions, end }) {
  return html`<${Rows} rows=${sessions} keyOf=${(/** @type {any} */ one) => one.session_id} empty=${t("admin.sessions.none")} label=${t("admin.sessions")} columns=${[
    [t("admin.session"), (/** @type {any} */ one) => html`${one.session_id} ${one.current && html`<${Chip} kind="info">${t("admin.session.this")}<//>`}`],
    [t("admin.session.opened"), (/** @type {any} */ one) => html`<${When} at=${one.opened_at} />`],
    [t("admin.session.seen"), (/** @type {any} */ one) => html`<${When} at=${one.last_seen_at} />`],
    [t("admin.session.ends"), (/** @type {any} */ one) => html`<${When} at=${one.ends_at} />`],
    [t("admin.session.from"), (/** @type {any} */ one) => html`${one.address}<br /><span class="quiet">${one.agent}</span>`],
    ...(end ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<button type="button" onClick=${() => end(one)} aria-label=${t("admin.session.end", { id: one.session_id })}>${t("admin.end")}</button>`]] : []),
  ]} />`;
}
