// Oneself: who I am, what I may, how I come in, where I am told, and what is kept of me.
import { html } from "../vendor/preact.js";
import { order, path } from "../api/client.js";
import { useAsked } from "../api/asking.js";
import { may, mayAnywhere } from "../api/session.js";
import { Field, Form } from "../parts/form.js";
import { Title } from "../parts/layout.js";
import { say } from "../parts/notices.js";
import { Shown } from "../parts/states.js";
import { When } from "../parts/when.js";
import { t } from "../words/index.js";
import { Names, useDeeds } from "./admin/parts.js";
import { TokenList } from "./admin/tokens.js";
import { SessionRows } from "./admin/user.js";
import { Channels } from "./me/channels.js";
import { Delegations } from "./me/delegations.js";
import { SecondFactor } from "./me/factor.js";

export default function Me() {
  const asked = useAsked("/api/me", { on: ["gateway.grant.", "gateway.team.", "gateway.user.", "gateway.role."] });
  return html`<${Title}>${t("me.title")}<//><${Shown} asked=${asked}>${(/** @type {any} */ me) => html`
    <section class="panel"><h2>${t("me.who")}</h2><${Facts} me=${me} /></section>
    <section class="panel"><h2>${t("me.rights")}</h2><${Rights} me=${me} /></section>
    ${may("gate:read") && html`<section><h2>${t("me.delegations")}</h2><${Delegations} name=${me.username} /></section>`}
    <${Sessions} />
    ${mayAnywhere("me:write") && html`<section class="panel"><h2>${t("admin.second-factor")}</h2><${SecondFactor} /></section>
      <section class="panel narrow"><h2>${t("me.password")}</h2><${Password} /></section>
      <section><h2>${t("me.channels")}</h2><${Channels} /></section>`}
    ${mayAnywhere("token:read") && html`<section><h2>${t("me.tokens")}</h2><${TokenList} user=${me.username} active=${true} /></section>`}
    ${mayAnywhere("me:write") && html`<section class="panel"><h2>${t("me.data")}</h2><p>${t("me.data.why")}</p>
      <p><a class="button" href="/api/me/personal-data" download="headgate-${me.username}.json">${t("download")}</a></p></section>`}`}<//>`;
}

/** @param {{me: any}} props */
function Facts({ me }) {
  return html`<dl class="facts">
    <dt>${t("admin.user")}</dt><dd>${me.username}</dd>
    <dt>${t("admin.role")}</dt><dd>${me.role}</dd>
    <dt>${t("admin.sites")}</dt><dd><${Names} names=${me.sites} /></dd>
    <dt>${t("me.until")}</dt><dd><${When} at=${me.expires_at} how="both" /></dd>
    ${me.narrowed && html`<dt>${t("me.narrowed")}</dt><dd>${t("me.narrowed.more")}</dd>`}
    ${me.subjects && html`<dt>${t("me.subjects")}</dt><dd><${Names} names=${me.subjects} /></dd>`}
  </dl>`;
}

/** Permissions by what they are about. @param {string[]} permissions @returns {[string, string[]][]} */
function grouped(permissions) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const one of [...permissions].sort()) {
    const [about, deed] = one.split(":");
    groups.set(about, [...(groups.get(about) ?? []), deed]);
  }
  return [...groups];
}

/** @param {{permissions: string[]}} props */
const Held = ({ permissions }) => html`<ul class="rights">${grouped(permissions).map(([about, deeds]) => html`<li><span class="mono">${about}</span> ${deeds.join(", ")}</li>`)}</ul>`;

/** @param {{me: any}} props */
function Rights({ me }) {
  return html`<${Held} permissions=${(me.powers ?? []).find((/** @type {any} */ one) => !one.source)?.permissions ?? me.permissions} />
    ${me.grants.map((/** @type {any} */ one) => html`<details><summary>${t("me.held", { source: one.source, role: one.role, sites: one.sites.join(", ") })} ${one.ends_at && html`<${When} at=${one.ends_at} />`}</summary>
      <${Held} permissions=${one.permissions} /></details>`)}`;
}

function Sessions() {
  const asked = useAsked("/api/me/sessions", { on: ["gateway.session."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const end = (/** @type {any} */ one) =>
    ask({ title: t("admin.session.end", { id: one.session_id }), why: t("admin.session.end.why"), danger: true, submit: t("admin.end"), run: ({ _key }) => order("DELETE", path`/api/me/sessions/${one.session_id}`, undefined, { key: _key }) });
  const endOthers = () =>
    ask({ title: t("me.sessions.others"), why: t("me.sessions.others.why"), danger: true, submit: t("admin.end"), run: ({ _key }) => order("DELETE", "/api/me/sessions?keep_current=true", undefined, { key: _key }) });
  return html`<section><h2>${t("admin.sessions")}</h2>
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${SessionRows} sessions=${found} end=${mayAnywhere("me:write") ? end : null} />
      ${mayAnywhere("me:write") && found.length > 1 && html`<p><button type="button" onClick=${endOthers}>${t("me.sessions.others")}</button></p>`}`}<//>${dialog}</section>`;
}

function Password() {
  const change = (/** @type {Record<string, string>} */ { current_password, password, _key }) => order("POST", "/api/me/password", { current_password, password }, { key: _key });
  const done = () => {
    say(t("me.password.done"));
    document.querySelectorAll(".narrow form").forEach((form) => /** @type {HTMLFormElement} */ (form).reset()); // nothing secret stays on the page
  };
  return html`<${Form} deed=${change} done=${done} submit=${t("me.password.go")}>
    <${Field} name="current_password" type="password" label=${t("me.password.current")} autocomplete="current-password" required />
    <${Field} name="password" type="password" label=${t("me.password.new")} autocomplete="new-password" required />
  <//>`;
}
