// Saying a word for somebody who is away and has delegated to the reader.
import { html } from "../vendor/preact.js";
import { sited, useAsked } from "../api/asking.js";
import { reader } from "../api/session.js";
import { Field } from "../parts/form.js";
import { t } from "../words/index.js";

/** The field for it, with the names of those who have delegated to the reader. */
export function InStead() {
  const asked = useAsked(sited("/api/delegations", { to_user: reader()?.username, limit: 200 }));
  const names = (asked.data?.items ?? []).filter((/** @type {any} */ one) => one.in_force && one.is_able).map((/** @type {any} */ one) => one.from_user);
  return html`<${Field} name="for" label=${t("verdict.on-behalf-of")} hint=${t("verdict.on-behalf-of.hint")} list=${[...new Set(names)]} autocomplete="off" />`;
}

/** What it says, as part of an order. @param {Record<string, string>} said */
export const inStead = (said) => (said.for.trim() ? { on_behalf_of: said.for.trim() } : {});
