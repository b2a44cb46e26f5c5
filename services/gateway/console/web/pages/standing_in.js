// Saying a word for somebody who is away and has delegated to the reader.
import { html } from "../vendor/preact.js";
import { may } from "../api/session.js";
import { Field } from "../parts/form.js";
import { t } from "../words/index.js";

/** @typedef {{refused: string, on_behalf_of: string[]}|undefined} YourWord `your_word` of an answer of the API; an older one says nothing of it */

/** Whether the reader may say a word that would be heard, be it somebody else's. @param {YourWord} mine */
export const heard = (mine) => may("gate:approve") && (!mine?.refused || mine.on_behalf_of.length > 0);

/** Why the reader's own word would not be heard, as the API says it. @param {{mine: YourWord}} props */
export const Unheard = ({ mine }) => may("gate:approve") && mine?.refused && html`<p class="quiet">${mine.refused}</p>`;

/** The field for whom a word is said, where the reader stands in for somebody; filled in where their own would not be heard.
 * @param {{mine: YourWord}} props */
export const InStead = ({ mine }) => mine && mine.on_behalf_of.length > 0 && html`<${Field} name="for" label=${t("verdict.on-behalf-of")} hint=${t("verdict.on-behalf-of.hint")}
  value=${mine.refused && mine.on_behalf_of[0]} list=${mine.on_behalf_of} autocomplete="off" />`;

/** What it says, as part of an order. @param {Record<string, string>} said */
export const inStead = (said) => (said.for?.trim() ? { on_behalf_of: said.for.trim() } : {});
