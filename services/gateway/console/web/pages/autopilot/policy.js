// When the autopilot acts and how much it may do: in force, tried out, changed, and who changed it before.
import { html, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { say } from "../../parts/notices.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t, word } from "../../words/index.js";
import { AUTOPILOT } from "./steps.js";

const HEARD = ["tracker.autopilot_policy.published"];
/** From and to of each number, null: yes or no. @type {Record<string, [number, number]|null>} */
const SETTINGS = {
  enabled: null, shadow: null, notify_enabled: null, skip_if_no_action: null,
  unassigned_trigger: [0, 100_000], overdue_trigger: [0, 100_000], cooldown_minutes: [0, 1_440], auto_assign_max_items: [1, 500], max_touched_items: [1, 1_000],
  escalation_due_soon_hours: [0, 168], kpi_window_days: [1, 180], kpi_due_soon_hours: [0, 168], plan_minutes: [1, 1_440],
};

/** @param {{attempt?: (policy: any) => void}} props */
export function Policy({ attempt }) {
  const asked = useAsked(sited(`${AUTOPILOT}/policy`), { on: HEARD });
  const [changes, setChanges] = useState(false);
  return html`<section class="panel"><h2>${t("autopilot.policy")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
    <p class="quiet">${t(`autopilot.source.${found.source}`, { version: found.version })} ${found.updated_at && html`<${When} at=${found.updated_at} />`}</p>
    <dl class="facts">${Object.keys(SETTINGS).map((name) => html`<dt>${t(`setting.${name}`)}</dt><dd>${shown(found.policy[name])}</dd>`)}</dl>
    ${(attempt || may("policy:write")) && html`<div class="form-buttons"><button type="button" onClick=${() => setChanges(true)}>${t("autopilot.change")}</button></div>`}
    ${changes && html`<${Change} of=${found} attempt=${attempt} close=${() => setChanges(false)} done=${asked.reload} />`}
    ${found.own_version > 0 && html`<${Versions} current=${found.own_version} />`}`}<//></section>`;
}

/** @param {boolean|number} value */
const shown = (value) => (typeof value === "boolean" ? t(value ? "yes" : "no") : number(value));

/** Only what the reader changed. @param {any} policy @param {Record<string, string>} said */
function changed(policy, said) {
  const found = Object.entries(SETTINGS).map(([name, range]) => /** @type {const} */ ([name, range ? Number(said[name]) : said[name] === "yes"]));
  return Object.fromEntries(found.filter(([name, value]) => value !== policy[name]));
}

/** @param {{of: any, attempt?: (policy: any) => void, close: () => void, done: () => void}} props */
function Change({ of, attempt, close, done }) {
  const [begun] = useState(of); // what is typed is a change of what was read, not of what comes meanwhile
  const deed = (/** @type {Record<string, string>} */ said) =>
    order("PUT", sited(`${AUTOPILOT}/policy`), { ...changed(begun.policy, said), reason: said.reason, expected_version: begun.own_version }, { key: said._key });
  const tries = (/** @type {any} */ event) => {
    const form = /** @type {HTMLFormElement} */ (event.currentTarget.form);
    const said = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    if (![.../** @type {any} */ (form.elements)].every((one) => one.name === "reason" || one.reportValidity())) return;
    attempt?.(changed(begun.policy, said));
    close();
  };
  const saved = () => {
    say(t("autopilot.saved"));
    close();
    done();
  };
  const fields = Object.entries(SETTINGS).map(([name, range]) => range
    ? html`<${Field} name=${name} type="number" min=${range[0]} max=${range[1]} label=${t(`setting.${name}`)} value=${String(begun.policy[name])} required />`
    : html`<${Field} name=${name} label=${t(`setting.${name}`)} value=${begun.policy[name] ? "yes" : "no"} options=${[["yes", t("yes")], ["no", t("no")]]} />`);
  const attempts = attempt && html`<div class="form-buttons"><button type="button" onClick=${tries}>${t("autopilot.try")}</button></div>`;
  return html`<${Dialog} side title=${t("autopilot.change")} close=${close}>
    ${may("policy:write")
      ? html`<${Form} deed=${deed} done=${saved} submit=${t("save")} cancel=${close}>${fields}${attempts}<${Field} name="reason" label=${t("reason")} hint=${t("reason.hint")} required /><//>`
      : html`<form onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>${fields}${attempts}</form>`}
  <//>`;
}

/** Who changed it, newest first; what each changed, and the way back. @param {{current: number}} props */
function Versions({ current }) {
  const asked = useAsked(sited(`${AUTOPILOT}/policy/document/versions`), { on: HEARD });
  const [back, setBack] = useState({ version: 0, newest: 0 }); // what somebody publishes meanwhile is not what was seen here
  const close = () => setBack({ version: 0, newest: 0 });
  const deed = (/** @type {Record<string, string>} */ said) => order("POST", sited(`${AUTOPILOT}/policy/document/rollback`), { version: back.version, reason: said.reason, expected_version: back.newest }, { key: said._key });
  const done = () => {
    say(t("autopilot.saved"));
    close();
  };
  return html`<details><summary>${t("autopilot.versions")}</summary><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<ul class="changes">${found.items.map(
    (/** @type {any} */ one) => html`<li key=${one.version}><strong>${one.version}</strong> <span>${one.author}</span> <${When} at=${one.published_at} /> <span class="quiet">${one.reason}</span>
      <${Diff} version=${one.version} />${one.version !== current && may("policy:write") && html` <button type="button" class="plain" onClick=${() => setBack({ version: one.version, newest: current })}>${t("autopilot.back", { version: one.version })}</button>`}</li>`)}</ul>`}<//>
    ${back.version > 0 && html`<${Dialog} title=${t("autopilot.back", back)} close=${close}>
      <${Form} deed=${deed} done=${done} submit=${t("autopilot.back", back)} cancel=${close}><${Field} name="reason" label=${t("reason")} hint=${t("reason.hint")} required /><//><//>`}
  </details>`;
}

/** @param {{version: number}} props */
function Diff({ version }) {
  const [open, setOpen] = useState(false);
  const asked = useAsked(open ? sited(`${AUTOPILOT}/policy/document/versions/${version}/diff`) : null);
  if (!open) return html`<button type="button" class="plain" onClick=${() => setOpen(true)}>${t("autopilot.diff", { version })}</button>`;
  return html`<${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<span>${found.differences.map((/** @type {any} */ one) => html`<span class="difference">${word("setting", one.path.slice(1))}: ${String(one.before)} → ${String(one.after)}</span> `)}</span>`}<//>`;
}
