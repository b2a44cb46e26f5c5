// What forbids GO beside the rules, and who can end it: holds, halts, freezes; and the emergency override.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may, reader, site } from "../../api/session.js";
import { Deed } from "../../parts/deed.js";
import { Field } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { go } from "../../router.js";
import { t, word } from "../../words/index.js";

const FREEZE_DAYS = 90;
const SHOWN_FREEZES = 5;

/** @param {{run: any}} props */
export function Line({ run }) {
  const halts = useAsked(sited("/api/halts", { in_force: true, limit: 200 }), { on: ["governance.line."] });
  const overrides = useAsked(sited("/api/overrides", { gate: run.gate, subject: run.subject }), { on: ["governance.override.", "governance.exception."] });
  return html`<section class="panel"><h2>${t("verdict.holds")}</h2>
    ${run.holds.length ? html`<ul class="reasons">${run.holds.map((/** @type {any} */ one) => html`<li><${Chip} kind="bad">${word("hold", one.kind)}<//> ${one.message} ${one.until ? html`· <${When} at=${one.until} how="both" />` : ""}</li>`)}</ul>` : html`<p class="quiet">${t("verdict.holds.none")}</p>`}
    <h3>${t("verdict.halts")}</h3>
    <${Shown} asked=${halts}>${(/** @type {any} */ found) => html`<${Halts} halts=${[...found.items, ...(found.everywhere ?? [])]} reload=${halts.reload} />`}<//>
    ${may("gate:halt") && html`<p><${Halt} run=${run} reload=${halts.reload} /></p>`}
    <h3>${t("verdict.freezes")}</h3>
    <${FreezesAhead} run=${run} />
    <h3>${t("verdict.overrides")}</h3>
    <${Shown} asked=${overrides}>${(/** @type {any} */ found) => html`<${Overrides} found=${found.items} run=${run} reload=${overrides.reload} />`}<//>
  </section>`;
}

/** @param {{halts: any[], reload: () => void}} props */
function Halts({ halts, reload }) {
  if (!halts.length) return html`<p class="quiet">${t("verdict.halts.none")}</p>`;
  const lift = (/** @type {any} */ one) => (/** @type {any} */ said) => order("POST", `/api/halts/${one.halt_id}/lift?${new URLSearchParams({ site: one.site })}`, { reason: said.reason }, { key: said._key });
  return html`<ul class="exceptions">${halts.map((one) => html`<li key=${one.halt_id}>
    <div class="verdict-line"><code>${one.subjects}</code> <span class="quiet">${one.site} · ${one.halted_by} · <${When} at=${one.halted_at} how="both" /></span></div><p><q>${one.reason}</q></p>
    ${may("gate:halt", one.site) && html`<${Deed} label=${t("verdict.lift")} name=${one.subjects} about=${html`<p>${t("verdict.lift.about")}</p>`} deed=${lift(one)} done=${reload} />`}
  </li>`)}</ul>`;
}

/** @param {{run: any, reload: () => void}} props */
function Halt({ run, reload }) {
  const deed = (/** @type {any} */ said) => order("POST", sited("/api/halts"), { subjects: said.subjects.trim(), reason: said.reason }, { key: said._key });
  return html`<${Deed} label=${t("verdict.halt")} about=${html`<p>${t(site() === "global" ? "verdict.halt.about.all" : "verdict.halt.about")}</p>`} deed=${deed} done=${reload} danger>
    <${Field} name="subjects" label=${t("verdict.halt.subjects")} hint=${t("verdict.halt.hint")} value=${run.version ? run.subject : "*"} required />
  <//>`;
}

/** @param {{run: any}} props */
function FreezesAhead({ run }) {
  const asked = useAsked(sited(path`/api/gates/${run.gate}/freezes/preview`, { subject: run.version ? run.subject : "", days: FREEZE_DAYS, label: run.labels[0] }), { on: ["governance.freezes.published"] });
  return html`<${Shown} asked=${asked}>${(/** @type {any} */ found) => found.items.length || found.missing.length
    ? html`<ul>${found.missing.map((/** @type {string} */ one) => html`<li>${t("verdict.freeze.missing", { name: one })}</li>`)}
        ${found.items.slice(0, SHOWN_FREEZES).map((/** @type {any} */ one) => html`<li>${one.calendar}: <${When} at=${one.begins_at} how="date" /> – <${When} at=${one.ends_at} how="date" /> ${one.reason && html`<q>${one.reason}</q>`}</li>`)}</ul>`
    : html`<p class="quiet">${t("verdict.freezes.none", { count: FREEZE_DAYS })}</p>`}<//>`;
}

/** @param {{found: any[], run: any, reload: () => void}} props */
function Overrides({ found, run, reload }) {
  const open = found.filter((one) => !one.revoked_at && !one.flagged_at && Date.parse(one.ends_at) > Date.now() && one.line === run.line);
  return html`
    ${open.length ? html`<ul class="exceptions">${open.map((one) => html`<${Override} key=${one.override_id} of=${one} reload=${reload} />`)}</ul>` : html`<p class="quiet">${t("verdict.overrides.none")}</p>`}
    ${run.decision === "no_go" && may("gate:override") && html`<p><${GiveOverride} run=${run} /></p>`}`;
}

/** @param {{of: any, reload: () => void}} props */
function Override({ of, reload }) {
  const verb = (/** @type {string} */ name) => (/** @type {any} */ said) => order("POST", sited(`/api/overrides/${of.override_id}/${name}`), { reason: said.reason }, { key: said._key });
  const own = of.given_by === reader()?.username;
  return html`<li><div class="verdict-line"><strong>${of.version || of.gate}</strong> <${Chip} kind=${of.confirmed_by ? "good" : "warn"}>${of.confirmed_by ? t("verdict.confirmed", { who: of.confirmed_by }) : t("verdict.unconfirmed")}<//>
      <span class="quiet">${of.given_by} · ${t("verdict.ends")} <${When} at=${of.confirmed_by ? of.ends_at : of.confirm_until} how="both" /></span></div>
    <p><q>${of.reason}</q> ${of.issue && html`<code>${of.issue}</code>`}</p>
    ${may("exception:approve") && html`<div class="verdict-line">${!of.confirmed_by && !own && html`<${Deed} label=${t("verdict.confirm")} deed=${verb("confirm")} done=${reload} primary />`}
      <${Deed} label=${t("verdict.revoke")} name=${t("verdict.override")} deed=${verb("revoke")} done=${reload} danger /></div>`}
  </li>`;
}

/** @param {{run: any}} props */
function GiveOverride({ run }) {
  const deed = (/** @type {any} */ said) =>
    order("POST", sited(path`/api/gates/${run.gate}/runs/${run.run_id}/override`), { reason: said.why.trim(), ...(said.issue.trim() && { issue: said.issue.trim() }), ...(said.hours && { hours: Number(said.hours) }) }, { key: said._key });
  const done = (/** @type {any} */ made) => go(path`/gates/${run.gate}/runs/${made.run.run_id}`);
  return html`<${Deed} label=${t("verdict.override.give")} deed=${deed} done=${done} danger bare about=${html`<p>${t("verdict.override.about")}</p><ul class="reasons">${run.reasons.map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul>`}>
    <${Field} name="why" label=${t("verdict.override.why")} hint=${t("verdict.override.why.hint")} rows=${4} required />
    <${Field} name="issue" label=${t("verdict.issue")} hint=${t("verdict.issue.hint")} />
    <${Field} name="hours" type="number" min="1" max="168" label=${t("verdict.override.hours")} hint=${t("verdict.override.hours.hint")} />
  <//>`;
}
