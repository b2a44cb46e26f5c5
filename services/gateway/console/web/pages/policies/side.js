// Beside the text: what forbids publishing it, its tests, and who has to approve it.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t } from "../../words/index.js";
import { InStead, Unheard, heard, inStead } from "../standing_in.js";
import { lineOf, testsOf } from "./checking.js";
import { getOrNull } from "./working.js";

/** What the check of the saved draft said. @param {{draft: any, text: string, go: (line: number) => void}} props */
export function Checked({ draft, text, go }) {
  if (!draft) return html`<section class="panel"><h2>${t("policy.check")}</h2><p class="quiet">${t("policy.check.none")}</p></section>`;
  const fresh = draft.content === text;
  const lines = text.split("\n");
  const list = (/** @type {string[]} */ sentences, /** @type {string} */ kind) =>
    sentences.map((one) => html`<li><${Chip} kind=${kind}>${t(kind === "bad" ? "policy.check.problem" : "policy.check.warning")}<//> ${one}
      <button type="button" class="plain" onClick=${() => go(lineOf(lines, one))}>${t("policy.line", { line: lineOf(lines, one) })}</button></li>`);
  return html`<section class="panel" aria-live="polite"><h2>${t("policy.check")}</h2>
    <p class="quiet">${t("policy.draft.by", { name: draft.saved_by })} <${When} at=${draft.saved_at} />. ${fresh ? "" : t("policy.check.old")}</p>
    ${!draft.problems.length && html`<p><${Chip} kind="good">✓ ${t("policy.check.good")}<//></p>`}
    <ul class="findings">${list(draft.problems, "bad")}${list(draft.warnings ?? [], "warn")}</ul></section>`;
}

/** @param {{draft: any, text: string, go: (line: number) => void}} props */
export function Tests({ draft, text, go }) {
  const tests = testsOf(text, draft?.content === text ? draft.problems : null);
  return html`<section class="panel"><h2>${t("policy.tests")}</h2>
    ${!tests.length && html`<p class="quiet">${t("policy.tests.none")}</p>`}
    <ul class="findings">${tests.map((one) => html`<li key=${one.line}>
      <${Chip} kind=${one.passed === null ? "none" : one.passed ? "good" : "bad"}>${t(one.passed === null ? "policy.tests.unknown" : one.passed ? "rule.pass" : "rule.fail")}<//>
      <button type="button" class="plain" onClick=${() => go(one.line)}>${one.name}</button>
      ${one.problems.map((problem) => html`<p class="quiet">${problem}</p>`)}</li>`)}</ul></section>`;
}

/** Who must approve the draft before it can be published; nothing where nobody must. @param {{gate: string, draft: any}} props */
export function Approvals({ gate, draft }) {
  const [asking, setAsking] = useState(false);
  const url = draft ? sited(path`/api/policies/${gate}/approvals`, { digest: draft.digest }) : null;
  const asked = useAsked(url, { on: ["governance.policies.approved", "governance.policies.published", "governance.delegation."], ask: getOrNull });
  if (!draft || (asked.data !== undefined && !asked.data?.wanted.length)) return null;
  return html`<section class="panel"><h2>${t("policy.approvals")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
    <ul class="findings">${found.wanted.map((/** @type {any} */ one) => html`<li><${Chip} kind=${one.have >= one.count ? "good" : "warn"}>${t("policy.approvals.of", { have: one.have, count: one.count })}<//> ${[...one.roles, ...one.groups].join(", ")}</li>`)}</ul>
    <ul class="findings">${found.approvals.map((/** @type {any} */ one) => html`<li key=${one.approval_id}>${one.person} <span class="quiet">${one.person === one.username ? "" : t("verdict.on-behalf", { who: one.username })} (${one.role}) <${When} at=${one.given_at} /></span> ${one.reason} ${one.void && html`<${Chip} kind="warn">${one.void}<//>`}</li>`)}</ul>
    ${found.pending.map((/** @type {string} */ one) => html`<p>${one}</p>`)}
    <${Unheard} mine=${found.your_word} />
    ${heard(found.your_word) && html`<button type="button" onClick=${() => setAsking(true)}>${t("policy.approve")}</button>`}`}<//>
    ${asking && html`<${Dialog} title=${t("policy.approve.title")} close=${() => setAsking(false)}>
      <p>${t("policy.approve.what", { name: draft.saved_by, digest: draft.digest.slice(0, 12) })}</p>
      <${Form} submit=${t("policy.approve")} cancel=${() => setAsking(false)}
        deed=${(/** @type {any} */ values) => order("POST", sited(path`/api/policies/${gate}/approvals`), { digest: draft.digest, reason: values.reason, ...inStead(values) }, { key: values._key })}
        done=${() => (setAsking(false), asked.reload(), say(t("policy.approved")))}>
        <${Field} label=${t("reason")} name="reason" required hint=${t("reason.hint")} /><${InStead} mine=${asked.data?.your_word} /><//><//>`}
  </section>`;
}
