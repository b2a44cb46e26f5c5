// A second factor of one's own: begin, show a code, keep the recovery codes; or drop it.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { t } from "../../words/index.js";
import { Secret, useDeeds } from "../admin/parts.js";

export function SecondFactor() {
  const { ask, dialog } = useDeeds();
  const [beginning, setBeginning] = useState(false);
  const drop = () =>
    ask({
      title: t("me.factor.drop"), why: t("me.factor.drop.why"), danger: true, submit: t("me.factor.drop.go"),
      fields: [{ name: "code", label: t("step-up.code"), autocomplete: "one-time-code", required: true }],
      run: ({ code, _key }) => order("POST", "/api/me/second-factor/drop", { code: code.trim() }, { key: _key }),
    });
  return html`<p>${t("me.factor.why")}</p><div class="form-buttons">
      <button type="button" onClick=${() => setBeginning(true)}>${t("me.factor.begin")}</button>
      <button type="button" onClick=${drop}>${t("me.factor.drop")}</button></div>
    ${dialog}${beginning && html`<${Begin} close=${() => setBeginning(false)} />`}`;
}

/** What an app needs, in groups that can be typed. @param {string} uri */
const secretIn = (uri) => (new URL(uri).searchParams.get("secret") ?? "").replace(/(.{4})/g, "$1 ").trim();

/** The address as a picture that an app reads with its camera; nothing where the drawing can't be loaded, for the key is beside it.
 * @param {{text: string}} props */
function Picture({ text }) {
  const [rows, setRows] = useState(/** @type {boolean[][]} */ ([]));
  useEffect(() => {
    import("../../vendor/qr.js").then(({ encodeQR }) => setRows(encodeQR(text, "raw", { border: 4 })), () => {});
  }, [text]);
  if (!rows.length) return null;
  const dark = rows.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])));
  return html`<svg class="qr" role="img" aria-label=${t("me.factor.qr")} viewBox="0 0 ${rows.length} ${rows.length}" shape-rendering="crispEdges">
    <rect width=${rows.length} height=${rows.length} fill="#fff" /><path d=${dark.join("")} fill="#000" /></svg>`;
}

/** Three steps, each with its own dialog text: begin, confirm, keep. @param {{close: () => void}} props */
function Begin({ close }) {
  const [begun, setBegun] = useState(/** @type {any} */ (null));
  const [confirmed, setConfirmed] = useState(/** @type {any} */ (null));
  const begin = (/** @type {any} */ { _key }) => order("POST", "/api/me/second-factor", {}, { key: _key });
  const confirm = (/** @type {any} */ { code, _key }) => order("POST", "/api/me/second-factor/confirm", { code: code.trim() }, { key: _key });
  return html`<${Dialog} title=${t("me.factor.begin")} close=${close} keep=${begun !== null}>
    ${confirmed
      ? html`<p>${t("me.factor.on")}</p><${Secret} label=${t("me.factor.recovery")} value=${(confirmed.recovery_codes ?? "").split(" ").join("\n")} note=${confirmed.note} />
          <div class="form-buttons"><button type="button" class="primary" onClick=${close}>${t("admin.secret.kept")}</button></div>`
      : begun
        ? html`<p>${t("me.factor.app")}</p>${begun.otpauth_uri ? html`<${Picture} text=${begun.otpauth_uri} /><p><a class="button" href=${begun.otpauth_uri.startsWith("otpauth:") ? begun.otpauth_uri : undefined}>${t("me.factor.open")}</a></p>
              <p>${t("me.factor.key")}</p><p class="mono">${secretIn(begun.otpauth_uri)}</p>
              <${Secret} label=${t("me.factor.uri")} value=${begun.otpauth_uri} />` : html`<p>${begun.note}</p>`}
            <${Form} key="confirm" deed=${confirm} done=${setConfirmed} submit=${t("me.factor.confirm")} cancel=${close}>
              <${Field} name="code" label=${t("me.factor.code")} autocomplete="one-time-code" required /><//>`
        : html`<${Form} key="begin" deed=${begin} done=${setBegun} submit=${t("me.factor.begin.go")} cancel=${close}><p>${t("me.factor.begin.why")}</p><//>`}
  <//>`;
}
