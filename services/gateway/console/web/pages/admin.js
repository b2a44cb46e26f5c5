// The administration: where is what.
import { html } from "../vendor/preact.js";
import { mayAnywhere } from "../api/session.js";
import { BASE } from "../router.js";
import { t } from "../words/index.js";
import { SECTIONS, Section } from "./admin/parts.js";

export default function Admin() {
  return html`<${Section} title=${t("admin.title")}>
    <ul class="tiles">${SECTIONS.filter(([, right]) => right === null || mayAnywhere(right)).map(
      ([one]) => html`<li class="tile"><h2><a href="${BASE}/admin/${one}">${t(`admin.${one}`)}</a></h2><p class="quiet">${t(`admin.${one}.about`)}</p></li>`,
    )}</ul><//>`;
}
