// Whether the installation is well, as it says of itself.
import { html } from "../../vendor/preact.js";
import { Problem, get } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { t, word } from "../../words/index.js";
import { Rows, Section } from "./parts.js";

const EVERY_MS = 15_000;

/** What is not well comes as 503, with the report all the same. @param {string} url @param {AbortSignal} signal */
async function ask(url, signal) {
  try {
    return await get(url, signal);
  } catch (problem) {
    if (problem instanceof Problem && problem.body.services) return problem.body;
    throw problem;
  }
}

export default function Status() {
  const asked = useAsked("/api/status", { every: EVERY_MS, ask });
  return html`<${Section} title=${t("admin.status")}><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Report} of=${found} />`}<//><//>`;
}

/** @param {{of: any}} props */
function Report({ of }) {
  const parts = [...Object.entries(of.checks), ...Object.entries(of.services)];
  return html`
    <p role="status"><${Chip} kind=${of.all_up ? "good" : "bad"}>${t(of.all_up ? "admin.status.well" : "admin.status.not-well")}<//></p>
    ${of.warnings.map((/** @type {any} */ one) => html`<p class="stale">${typeof one === "string" ? one : one.message ?? JSON.stringify(one)}</p>`)}
    <${Rows} rows=${parts} keyOf=${(/** @type {any} */ [name]) => name} empty="" label=${t("admin.status")} columns=${[
      [t("admin.status.part"), (/** @type {any} */ [name]) => name],
      [t("admin.state"), (/** @type {any} */ [, state]) => html`<${Chip} kind=${state === "up" || state === "ok" ? "good" : "bad"}>${word("admin.status.state", String(state))}<//>`],
    ]} />
    <p class="quiet">${t("admin.status.sync", { sync: of.sync })}</p>`;
}
