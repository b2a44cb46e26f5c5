// Settings of the installation: what holds, what was before, what changed; publish, or go back.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { askAllPages, useAsked } from "../../api/asking.js";
import { mayAll, mayAnywhere } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { t } from "../../words/index.js";
import { Rows, Section, json, useDeeds } from "./parts.js";
import { TrySignIn } from "./sign_in_try.js";

/** Document, and what it takes to read it. */
const DOCUMENTS = /** @type {[string, string][]} */ ([
  ["session-policy", "token:read"], ["token-policy", "token:read"], ["second-factor-policy", "token:read"], ["sign-in", "identity:read"], ["federation", "identity:read"],
]);

export default function Settings() {
  const readable = DOCUMENTS.filter(([, right]) => mayAnywhere(right));
  const [name, setName] = useQueryValue("of", readable[0]?.[0]);
  return html`<${Section} title=${t("admin.settings")}>
    <form class="bar" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}><label>${t("admin.setting")}<br />
      <select value=${name} onChange=${(/** @type {any} */ event) => setName(event.target.value)}>${readable.map(([one]) => html`<option value=${one} selected=${one === name}>${t(`admin.setting.${one}`)}</option>`)}</select></label></form>
    ${readable.some(([one]) => one === name) && html`<${Setting} key=${name} name=${name} />`}<//>`;
}

/** @param {{name: string}} props */
function Setting({ name }) {
  const at = `/api/admin/${name}`;
  const on = [`gateway.${name.replaceAll("-", "_")}.published`];
  const now = useAsked(at, { on });
  const versions = useAsked(`${at}/versions?limit=100`, { on, ask: askAllPages });
  const [diff, setDiff] = useState(0);
  const [trying, setTrying] = useState(false);
  const { ask, dialog } = useDeeds(() => { now.reload(); versions.reload(); });
  const reason = { name: "reason", label: t("reason"), hint: t("reason.hint"), required: true };
  const publish = (/** @type {any} */ held) =>
    ask({
      title: t("admin.setting.publish", { name: t(`admin.setting.${name}`) }), why: t("admin.setting.publish.why"), submit: t("admin.setting.publish.go"),
      fields: [{ name: "content", label: t("admin.setting.content"), rows: 16, value: JSON.stringify(held.content, null, 2), required: true, spellcheck: false }, reason],
      // Who published meanwhile is not overwritten.
      run: async ({ content, reason: why, _key }) => order("PUT", at, { content: json(content), reason: why, expected_version: held.own_version }, { key: _key }),
    });
  const back = (/** @type {any} */ one, /** @type {any} */ held) =>
    ask({
      title: t("admin.setting.back", { version: one.version }), why: t("admin.setting.back.why"), danger: true, submit: t("admin.setting.back.go"), fields: [reason],
      run: ({ reason: why, _key }) => order("POST", `${at}/rollback`, { version: one.version, reason: why, expected_version: held.own_version }, { key: _key }),
    });
  const write = mayAll("identity:write");
  return html`<${Shown} asked=${now}>${(/** @type {any} */ held) => html`
    <div class="panel"><p>${held.source === "default" ? t("admin.setting.default") : html`${t("admin.setting.version", { version: held.version, author: held.author })} <${When} at=${held.published_at} /> · ${held.reason}`}</p>
      <pre tabindex="0">${JSON.stringify(held.content, null, 2)}</pre>
      <div class="form-buttons">${write && html`<button type="button" class="primary" onClick=${() => publish(held)}>${t("admin.setting.change")}</button>`}
        ${name === "sign-in" && html`<button type="button" onClick=${() => setTrying(true)}>${t("admin.try")}…</button>`}</div></div>
    ${trying && html`<${TrySignIn} content=${held.content} close=${() => setTrying(false)} />`}
    <h2>${t("admin.setting.versions")}</h2>
    <${Shown} asked=${versions}>${(/** @type {any} */ found) => html`<${Rows} rows=${found.items} keyOf=${(/** @type {any} */ one) => one.version} empty=${t("admin.setting.none")} label=${t("admin.setting.versions")} columns=${[
      [t("admin.setting.number"), (/** @type {any} */ one) => one.version],
      [t("admin.setting.by"), (/** @type {any} */ one) => html`${one.author} <${When} at=${one.published_at} />`],
      [t("reason"), (/** @type {any} */ one) => html`${one.reason} ${one.restores && html`<span class="quiet">${t("admin.setting.restores", { version: one.restores })}</span>`}`],
      [t("admin.deeds"), (/** @type {any} */ one) => html`<span class="row-deeds"><button type="button" aria-label=${t("admin.setting.diff", { version: one.version })} onClick=${() => setDiff(one.version)}>${t("admin.setting.diff.go")}</button>
        ${write && one.version !== held.own_version && html`<button type="button" aria-label=${t("admin.setting.back", { version: one.version })} onClick=${() => back(one, held)}>${t("admin.setting.back.go")}</button>`}</span>`],
    ]} />`}<//>`}<//>
    ${diff > 0 && html`<${Changes} at=${at} version=${diff} close=${() => setDiff(0)} />`}${dialog}`;
}

const shown = (/** @type {any} */ value) => (value === null || value === undefined ? "–" : JSON.stringify(value));

/** @param {{at: string, version: number, close: () => void}} props */
function Changes({ at, version, close }) {
  const asked = useAsked(at + path`/versions/${version}/diff`);
  return html`<${Dialog} title=${t("admin.setting.diff", { version })} close=${close} side><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
    <${Rows} rows=${found.differences} keyOf=${(/** @type {any} */ one) => one.path} empty=${t("admin.setting.same")} label=${t("admin.setting.diff", { version })} columns=${[
      [t("admin.setting.where"), (/** @type {any} */ one) => html`<span class="mono">${one.path}</span>`],
      [t("admin.setting.before"), (/** @type {any} */ one) => html`<span class="mono">${shown(one.before)}</span>`],
      [t("admin.setting.after"), (/** @type {any} */ one) => html`<span class="mono">${shown(one.after)}</span>`],
    ]} />`}<//><//>`;
}
