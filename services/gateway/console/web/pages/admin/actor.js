// The risk of one actor: what they did, and each point explained.
import { html } from "../../vendor/preact.js";
import { path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { Shown } from "../../parts/states.js";
import { number, t } from "../../words/index.js";
import { Section } from "./parts.js";
import { COUNTS, Score } from "./risk.js";

/** @param {{name: string}} props */
export default function Actor({ name }) {
  const asked = useAsked(sited(path`/api/ops/security/actors/${name}`), { on: ["operations.risk."] });
  return html`<${Section} title=${t("admin.risk.of", { name })}><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
    <${Score} risk=${found.risk} trend=${[]} days=${found.window_days} />
    ${found.actions && html`<section class="panel"><h2>${t("admin.risk.did")}</h2><dl class="facts">${COUNTS.map((one) => html`<dt>${t(`admin.risk.${one}`)}</dt><dd>${number(found.actions[`${one}_count`])}</dd>`)}</dl></section>`}`}<//><//>`;
}
