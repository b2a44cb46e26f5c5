// What one request set off: the request, its commands, their events, and whom these were told to, as a tree with times.
import { html } from "../../vendor/preact.js";
import { path } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { Title } from "../../parts/layout.js";
import { lasted } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE } from "../../router.js";
import { t, word } from "../../words/index.js";
import { State } from "../deliveries/shared.js";
import { AuditTabs, Outcome } from "./shared.js";

/** @typedef {{node: any, at: number, end: number, children: Step[]}} Step */

/** The nodes as a tree, each with the time at which the last of what it set off happened.
 * @param {any[]} nodes in the order of the tree @returns {Step[]} */
export function grown(nodes) {
  /** @type {Map<string, Step>} */
  const known = new Map();
  /** @type {Step[]} */
  const roots = [];
  for (const node of nodes) {
    const at = node.at ? Date.parse(node.at) : NaN;
    const step = { node, at, end: at, children: [] };
    known.set(node.node_id, step);
    (known.get(node.parent_id)?.children ?? roots).push(step);
  }
  for (const node of nodes.toReversed()) {
    const step = /** @type {Step} */ (known.get(node.node_id));
    const times = [step.at, ...step.children.map((one) => one.end)].filter((one) => !Number.isNaN(one));
    if (times.length) step.end = Math.max(...times);
    if (Number.isNaN(step.at) && times.length) step.at = Math.min(...times); // a request is noted by what it set off
  }
  return roots;
}

/** @param {{trace: string}} props */
export default function Trace({ trace }) {
  const asked = useAsked(path`/api/audit/traces/${trace}`);
  return html`<${Title}>${t("audit.trace.title")}<//><${AuditTabs} />
    <p class="mono">${trace}</p>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Tree} found=${found} />`}<//>`;
}

/** @param {{found: any}} props */
function Tree({ found }) {
  const roots = grown(found.nodes);
  const begin = Math.min(...roots.map((one) => one.at));
  const whole = Math.max(...roots.map((one) => one.end)) - begin;
  return html`<p>${t("audit.trace.counts", { count: found.entry_count })} ${whole > 0 && t("audit.trace.whole", { time: lasted(whole) })}</p>
    ${found.left_out && html`<p class="stale">${t("audit.trace.left-out")}</p>`}
    ${found.notifications !== "known" && html`<p class="quiet">${t(`audit.trace.${found.notifications}`)}</p>`}
    <ul class="trace">${roots.map((one) => html`<${Branch} key=${one.node.node_id} step=${one} begin=${begin} whole=${whole} />`)}</ul>`;
}

/** @param {{step: Step, begin: number, whole: number}} props */
function Branch({ step, begin, whole }) {
  const { node } = step;
  const share = (/** @type {number} */ ms) => (whole ? Math.max(0, Math.min(100, (ms / whole) * 100)) : 0);
  const place = { marginInlineStart: `min(${share(step.at - begin)}%, 100% - 3px)`, width: `max(3px, ${share(step.end - step.at)}%)` };
  return html`<li>
    <div class="step ${node.kind}">
      <${Chip} kind="none">${word("audit.kind", node.kind)}<//>
      ${node.seq ? html`<a class="mono" href="${BASE}/audit?entry=${node.seq}">${node.action}</a>` : html`<span class="mono">${node.action}</span>`}
      ${node.kind === "notification" ? html`<${State} state=${node.outcome ?? ""} />` : html`<${Outcome} outcome=${node.outcome} />`}
      <span class="quiet">${[node.actor, node.subject, node.site].filter(Boolean).join(" · ")}</span>
      ${!Number.isNaN(step.at) && html`<span class="quiet step-time">+${lasted(step.at - begin)}${step.end > step.at && ` · ${t("audit.trace.took", { time: lasted(step.end - step.at) })}`}</span>`}
    </div>
    ${node.reason && html`<p class="quiet">${node.reason}</p>`}
    ${node.client_address && html`<p class="quiet">${node.client_address} ${node.client_agent}</p>`}
    ${node.kind === "request" && node.at && html`<p class="quiet"><${When} at=${node.at} how="both" /></p>`}
    ${whole > 0 && html`<div class="span" aria-hidden="true"><span style=${place}></span></div>`}
    ${step.children.length > 0 && html`<ul>${step.children.map((one) => html`<${Branch} key=${one.node.node_id} step=${one} begin=${begin} whole=${whole} />`)}</ul>`}
  </li>`;
}
