// One entry, whole: what it says, what it changed, from where it came, and the proof that the signed log holds it.
import { html } from "../../vendor/preact.js";
import { address, path } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { Dialog } from "../../parts/dialog.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { t } from "../../words/index.js";
import { Outcome, short } from "./shared.js";

/** @param {{seq: string, close: () => void}} props */
export function EntryDrawer({ seq, close }) {
  const asked = useAsked(path`/api/audit/entries/${seq}`);
  return html`<${Dialog} side title=${t("audit.entry", { seq })} close=${close}>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Entry} found=${found} />`}<//><//>`;
}

/** @param {{found: any}} props */
function Entry({ found }) {
  const { entry, proof, command, client } = found;
  const history = address(`${BASE}/audit`, { resource_type: entry.resource_type, resource_id: entry.subject });
  return html`<p><strong class="mono">${entry.action ?? short(entry.type)}</strong> <${Outcome} outcome=${entry.outcome} /></p>
    ${entry.reason && html`<p>${entry.reason}</p>`}
    <dl class="facts">
      <dt>${t("audit.time")}</dt><dd><${When} at=${entry.time} how="both" /></dd>
      <dt>${t("audit.actor")}</dt><dd>${entry.actor}${entry.actor_kind && html` <span class="quiet">${entry.actor_kind}</span>`}</dd>
      ${client && html`<dt>${t("audit.from")}</dt><dd>${client.address ?? "–"}${client.agent && html`<br /><span class="quiet">${client.agent}</span>`}</dd>`}
      <dt>${t("audit.resource")}</dt><dd>${entry.resource_type} ${entry.subject} ${entry.resource_type && html`<a href=${history}>${t("audit.history")}</a>`}</dd>
      <dt>${t("audit.site")}</dt><dd>${entry.site}</dd>
      <dt>${t("audit.type")}</dt><dd class="mono">${entry.type}</dd>
      ${entry.issue && html`<dt>${t("audit.issue")}</dt><dd>${entry.issue}</dd>`}
      ${entry.trace_id && html`<dt>${t("audit.trace_id")}</dt><dd><a class="mono" href=${BASE + path`/audit/traces/${entry.trace_id}`}>${entry.trace_id}</a></dd>`}
      ${command && html`<dt>${t("audit.command")}</dt><dd><a href="${BASE}/audit?entry=${command.seq}">${short(command.action ?? command.type)} · ${command.seq}</a></dd>`}
    </dl>
    <${Changes} event=${entry.event} />
    <section><h3>${t("audit.content")}</h3>
      ${entry.event ? html`<pre tabindex="0" aria-label=${t("audit.content")}>${JSON.stringify(entry.event, null, 2)}</pre>` : html`<p class="quiet">${entry.erased_at ? t("audit.erased") : entry.masked ? t("audit.masked") : t("audit.too-large")}</p>`}</section>
    <${Proof} entry=${entry} proof=${proof} />`;
}

/** @param {{event: any}} props */
function Changes({ event }) {
  const changes = event?.data?.changes;
  if (!Array.isArray(changes) || !changes.length) return null;
  const shown = (/** @type {any} */ value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return html`<section><h3>${t("audit.changes")}</h3><div class="scroll" tabindex="0"><table><thead><tr><th scope="col">${t("audit.field")}</th><th scope="col">${t("audit.was")}</th><th scope="col">${t("audit.is")}</th></tr></thead>
    <tbody>${changes.map((/** @type {any} */ one) => html`<tr><th scope="row" class="mono">${one.field}</th>${one.masked ? html`<td colspan="2" class="quiet">${t("audit.hidden")}</td>` : html`<td>${shown(one.before)}</td><td>${shown(one.after)}</td>`}</tr>`)}</tbody></table></div></section>`;
}

/** @param {{entry: any, proof: any}} props */
function Proof({ entry, proof }) {
  return html`<section><h3>${t("audit.proof")}</h3>
    <p>${proof ? html`<${Chip} kind="good">${t("audit.proven", { size: proof.size })}<//>` : html`<${Chip} kind="warn">${t("audit.unproven")}<//>`}</p>
    <dl class="facts"><dt>${t("audit.hash")}</dt><dd><code>${entry.hash}</code></dd><dt>${t("audit.prev_hash")}</dt><dd><code>${entry.prev_hash}</code></dd>
      <dt>${t("audit.payload_sha256")}</dt><dd><code>${entry.payload_sha256}</code></dd></dl>
    ${proof && html`<p><a class="button" href=${path`/api/audit/entries/${entry.seq}/receipt`} download="receipt-${entry.seq}.tlog-proof">${t("audit.receipt")}</a> <span class="quiet">${t("audit.receipt.more")}</span></p>`}
  </section>`;
}
