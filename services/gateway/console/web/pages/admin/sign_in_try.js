// What would become of a sign-in: by the rules in force, or by others before they are published. Nothing is changed by it.
import { html, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { t, word } from "../../words/index.js";
import { Names, json } from "./parts.js";

const CLAIMS = { sub: "248289761001", preferred_username: "mia", email: "mia@example.com", email_verified: true, groups: [] };

/** @param {{content: any, close: () => void}} props `content`: the rules in force */
export function TrySignIn({ content, close }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const inForce = JSON.stringify(content, null, 2);
  const deed = async (/** @type {Record<string, string>} */ said) => {
    setFound(null);
    const others = said.content.trim() === inForce ? {} : { content: json(said.content) };
    return order("POST", "/api/admin/sign-in/try", { provider: said.provider.trim(), claims: json(said.claims), ...others });
  };
  return html`<${Dialog} side title=${t("admin.try")} close=${close}><p>${t("admin.try.why")}</p>
    <${Form} deed=${deed} done=${setFound} submit=${t("admin.try.go")} cancel=${close}>
      <${Field} name="provider" label=${t("admin.try.provider")} value=${content.providers[0]?.name} list=${content.providers.map((/** @type {any} */ one) => one.name)} autocomplete="off" required />
      <${Field} name="claims" label=${t("admin.try.claims")} hint=${t("admin.try.claims.hint")} rows=${8} value=${JSON.stringify(CLAIMS, null, 2)} spellcheck=${false} required />
      <${Field} name="content" label=${t("admin.try.rules")} hint=${t("admin.try.rules.hint")} rows=${12} value=${inForce} spellcheck=${false} required />
    <//>
    <div role="status">${found && html`<${Verdict} of=${found} />`}</div><//>`;
}

/** @param {{of: any}} props */
function Verdict({ of }) {
  const shut = of.reason || of.person === "taken";
  return html`<h3>${t("admin.try.found")}</h3>
    <p><${Chip} kind=${shut ? "bad" : "good"}>${t(shut ? "admin.try.refused" : "admin.try.in")}<//> ${of.reason}</p>
    <dl class="facts">
      ${of.rule && html`<dt>${t("admin.try.rule")}</dt><dd class="mono">${of.rule}</dd>`}
      ${of.username && html`<dt>${t("admin.user")}</dt><dd>${of.username} ${of.person && html`<span class="quiet">${word("admin.try.person", of.person)}</span>`}</dd>`}
      ${of.role && html`<dt>${t("admin.role")}</dt><dd>${of.role}</dd>`}
      ${of.sites && html`<dt>${t("admin.sites")}</dt><dd><${Names} names=${of.sites} /></dd>`}
    </dl>`;
}
