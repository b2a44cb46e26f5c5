// Backtests: what the draft would have said of decisions that are stored, before it is published.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Field, Form } from "../../parts/form.js";
import { Chip, RuleStatus, Verdict } from "../../parts/marks.js";
import { Empty, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE, useQueryValue } from "../../router.js";
import { number, t, word } from "../../words/index.js";

const HEARD = ["governance.policies.backtest_begun", "governance.policies.backtested"];
const KINDS = { queued: "none", running: "info", done: "good", failed: "bad" };
const FLIPS = 500;

/** @param {{gate: string, text: string}} props */
export function Backtests({ gate, text }) {
  const [chosen, choose] = useQueryValue("backtest");
  const asked = useAsked(sited(path`/api/policies/${gate}/backtests`, { limit: 50 }), { on: HEARD });
  const deed = (/** @type {any} */ values) =>
    order("POST", sited(path`/api/policies/${gate}/backtests`), { content: text, last_count: Number(values.last_count) }, { key: values._key });
  return html`
    ${may("policy:write") && html`<section class="panel narrow"><h2>${t("policy.backtest.begin")}</h2><p class="quiet">${t("policy.backtest.what")}</p>
      <${Form} submit=${t("policy.backtest.go")} deed=${deed} done=${(/** @type {any} */ result) => (asked.reload(), choose(String(result.backtest_id)))}>
        <${Field} label=${t("policy.backtest.last")} name="last_count" type="number" min="1" max="10000" value="1000" required /><//></section>`}
    ${chosen && html`<${One} gate=${gate} number=${chosen} />`}
    <section class="panel"><h2>${t("policy.backtests")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ found) =>
      found.items.length
        ? html`<ul class="findings">${found.items.map((/** @type {any} */ one) => html`<li key=${one.backtest_id}><${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (one.state)] ?? "none"}>${word("policy.backtest", one.state)}<//>
            <button type="button" class="plain" aria-pressed=${String(one.backtest_id) === chosen} onClick=${() => choose(String(one.backtest_id))}>${t("policy.backtest.number", { number: one.backtest_id })}</button>
            ${t("policy.backtest.of", { judged: one.judged_count, flips: one.flip_count })} <span class="quiet">${one.asked_by} <${When} at=${one.asked_at} /></span></li>`)}</ul>`
        : html`<${Empty} title=${t("policy.backtests.none")} />`}<//></section>`;
}

/** @param {{gate: string, number: string}} props */
function One({ gate, number: id }) {
  const [running, setRunning] = useState(true);
  const asked = useAsked(sited(path`/api/policies/${gate}/backtests/${id}`, { limit: FLIPS }), { on: HEARD, every: running ? 2_000 : undefined });
  const state = asked.data?.state ?? (asked.problem?.status === 404 ? "gone" : undefined); // of what is not there nothing will come
  if (state && running !== (state === "queued" || state === "running")) setRunning(!running);
  return html`<section class="panel" aria-live="polite"><h2>${t("policy.backtest.number", { number: Number(id) })}</h2><${Shown} asked=${asked}>${(/** @type {any} */ one) => html`
    <p><${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (one.state)] ?? "none"}>${word("policy.backtest", one.state)}<//> ${one.reason}
      ${running && html`<progress max=${one.total_count} value=${one.done_count} aria-label=${t("policy.backtest.progress")}></progress>`}</p>
    <dl class="facts">${[["judged", one.judged_count], ["flips", one.flip_count], ["to-no-go", one.to_no_go_count], ["to-go", one.to_go_count], ["without-capsule", one.without_capsule_count], ["unreadable", one.unreadable_count], ["unbound", one.unbound_count]]
      .map(([name, count]) => html`<dt>${t(`policy.backtest.${name}`)}</dt><dd>${number(/** @type {number} */ (count))}</dd>`)}
      ${one.unread_kinds.length ? html`<dt>${t("policy.backtest.unread")}</dt><dd>${one.unread_kinds.join(", ")}</dd>` : ""}</dl>
    ${one.flips.length ? html`<${Flips} gate=${gate} flips=${one.flips} />` : !running && html`<p>${t("policy.backtest.no-flips")}</p>`}
    ${one.left_out_count > 0 && html`<p class="quiet">${t("policy.backtest.left-out", { count: one.left_out_count })}</p>`}`}<//></section>`;
}

/** @param {{gate: string, flips: any[]}} props */
function Flips({ gate, flips }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("policy.backtest.flips")}><table class="flips"><thead><tr><th scope="col">${t("policy.backtest.decision")}</th><th scope="col">${t("policy.backtest.flip")}</th><th scope="col">${t("policy.backtest.why")}</th></tr></thead>
    <tbody>${flips.map((one) => html`<tr key=${one.run_id}>
      <th scope="row"><a href=${BASE + path`/gates/${gate}/runs/${one.run_id}`}>${one.subject} ${one.version}</a><br /><span class="quiet"><${When} at=${one.decided_at} /></span></th>
      <td><${Verdict} verdict=${one.before} /> <span aria-hidden="true">→</span> <${Verdict} verdict=${one.after} /></td>
      <td>${one.rules.map((/** @type {any} */ rule) => html`<p><code>${rule.id}</code> ${rule.before ? html`<${RuleStatus} status=${rule.before} />` : t("policy.backtest.no-rule")} → ${rule.after ? html`<${RuleStatus} status=${rule.after} />` : t("policy.backtest.no-rule")} <span class="quiet">${rule.message}</span></p>`)}
        ${!one.rules.length && one.reasons.map((/** @type {string} */ reason) => html`<p>${reason}</p>`)}</td></tr>`)}</tbody></table></div>`;
}
