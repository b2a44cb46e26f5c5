// The versions of a policy or another document: who published what, when and why; what each changed; and the way back.
import { html, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { askAllPages, sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { say } from "../../parts/notices.js";
import { Empty, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t } from "../../words/index.js";
import { Diff } from "./diff.js";
import { Reasoned } from "./publishing.js";

/** @param {{base: string, on: string[], issue?: boolean, write: string, done: () => void}} props `base`: its address */
export function Versions({ base, on, issue, write, done }) {
  const asked = useAsked(sited(`${base}/versions`, { limit: 200 }), { on, ask: askAllPages });
  const [shown, setShown] = useState(/** @type {{version: number, what: "diff"|"back", newest?: number}|null} */ (null));
  const close = () => setShown(null);
  return html`<${Shown} asked=${asked}>${(/** @type {any} */ found) =>
    found.items.length
      ? html`<div class="scroll" tabindex="0" role="region" aria-label=${t("policy.versions")}><table><thead><tr><th scope="col">${t("policy.version")}</th><th scope="col">${t("policy.when")}</th><th scope="col">${t("policy.author")}</th><th scope="col">${t("reason")}</th><th scope="col"><span class="hidden">${t("policy.actions")}</span></th></tr></thead>
        <tbody>${found.items.map((/** @type {any} */ one, /** @type {number} */ place) => html`<tr key=${one.version}>
          <th scope="row">${number(one.version)}${place === 0 ? html` <span class="chip good">${t("policy.newest")}</span>` : ""}</th>
          <td><${When} at=${one.published_at} how="both" /></td><td>${one.author}</td>
          <td>${one.reason} ${one.issue && html`<span class="quiet">(${one.issue})</span>`} ${one.restores && html`<span class="chip info">${t("policy.restores", { version: one.restores })}</span>`}
            ${one.backtest && html`<p class="quiet">${t("policy.backtest.of", { judged: one.backtest.judged_count, flips: one.backtest.flip_count })}</p>`}</td>
          <td class="row-buttons"><button type="button" onClick=${() => setShown({ version: one.version, what: "diff" })}>${t("policy.changes")}<span class="hidden"> ${one.version}</span></button>
            ${place > 0 && may(write) && html`<button type="button" onClick=${() => setShown({ version: one.version, what: "back", newest: found.items[0].version })}>${t("policy.back")}<span class="hidden"> ${one.version}</span></button>`}</td></tr>`)}</tbody></table></div>
        ${shown?.what === "diff" && html`<${Dialog} title=${t("policy.changes.of", { version: shown.version })} close=${close} side><${Changes} base=${base} version=${shown.version} /><//>`}
        ${shown?.what === "back" && html`<${Reasoned} title=${t("policy.back.title", { version: shown.version })} submit=${t("policy.back")} danger issue=${issue} close=${close}
          more=${html`<p>${t("policy.back.what", { version: shown.version })}</p><${Changes} base=${base} version=${shown.version} against=${shown.newest} />`}
          deed=${(/** @type {any} */ said) => order("POST", sited(`${base}/rollback`), { version: shown.version, reason: said.reason, expected_version: shown.newest, ...(issue ? { issue: said.issue || null } : {}) }, { key: said._key })}
          done=${(/** @type {any} */ result) => (close(), asked.reload(), say(t("policy.published", { version: result.version })), done())} />`}`
      : html`<${Empty} title=${t("policy.versions.none")}><p>${t("policy.versions.none.more")}</p><//>`}<//>`;
}

/** @param {{base: string, version: number, against?: number}} props */
function Changes({ base, version, against }) {
  const asked = useAsked(sited(`${base}/versions/${version}/diff`, { against }));
  return html`<${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<p class="quiet">${t("policy.diff.against", { version: found.against })}</p><${Diff} lines=${found.lines ?? linesOf(found)} label=${t("policy.diff")} />`}<//>`;
}

/** Differences of a document that is no text: a line for each value. @param {any} diff @returns {string[]} */
function linesOf(diff) {
  const value = (/** @type {any} */ one) => JSON.stringify(one);
  const lines = diff.differences.flatMap((/** @type {any} */ one) => [
    `@ ${one.path || "/"}`,
    ...(one.kind === "added" ? [] : [`-${value(one.before)}`]),
    ...(one.kind === "removed" ? [] : [`+${value(one.after)}`]),
  ]);
  return diff.left_out ? [...lines, `… ${diff.left_out}`] : lines;
}
