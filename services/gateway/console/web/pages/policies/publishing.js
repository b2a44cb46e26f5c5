// Orders about a policy or another published document, each asked for with its reason.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited } from "../../api/asking.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { say } from "../../parts/notices.js";
import { t } from "../../words/index.js";
import { Diff } from "./diff.js";

/** @typedef {{reason: string, issue?: string, _key: string}} Said */

/** Say what will change and why, then do it.
 * @param {{title: string, submit: string, lines?: string[], more?: any, issue?: boolean, danger?: boolean, deed: (said: Said) => Promise<any>, done: (result: any) => void, close: () => void}} props */
export function Reasoned({ title, submit, lines, more, issue, danger, deed, done, close }) {
  return html`<${Dialog} title=${title} close=${close} side=${lines !== undefined}>
    ${more}
    ${lines && html`<${Diff} lines=${lines} label=${t("policy.diff")} />`}
    <${Form} submit=${submit} danger=${danger} cancel=${close} deed=${deed} done=${done}>
      <${Field} label=${t("reason")} name="reason" required hint=${t("policy.reason.hint")} />
      ${issue && html`<${Field} label=${t("policy.issue")} name="issue" hint=${t("policy.issue.hint")} />`}
    <//><//>`;
}

/** @param {{gate: string, text: string, own: number, since: number, lines: string[], done: (result: any) => void, close: () => void}} props */
export function Publish({ gate, text, own, since, lines, done, close }) {
  const [begun] = useState(own); // what somebody publishes meanwhile is not what was seen here
  const deed = (/** @type {Said} */ said) =>
    order("PUT", sited(path`/api/policies/${gate}`), { content: text, reason: said.reason, issue: said.issue || null, expected_version: begun }, { key: said._key });
  const told = (/** @type {any} */ result) => {
    say(t("policy.published", { version: result.version }));
    done(result);
  };
  return html`<${Reasoned} title=${t("policy.publish.title", { gate })} submit=${t("policy.publish")} lines=${lines} issue deed=${deed} done=${told} close=${close} more=${html`<p>${t("policy.publish.what")}</p>${since > 0 && html`<p class="stale">${t("policy.since", { version: since })}</p>`}`} />`;
}

/** @param {{gate: string, digest: string, done: () => void, close: () => void}} props */
export function DropDraft({ gate, digest, done, close }) {
  const [seen] = useState(digest); // what somebody saves meanwhile is not what was seen here
  return html`<${Dialog} title=${t("policy.drop.title")} close=${close}><p>${t("policy.drop.what")}</p>
    <${Form} submit=${t("policy.drop")} danger cancel=${close}
      deed=${(/** @type {Said} */ said) => order("DELETE", sited(path`/api/policies/${gate}/draft`), { expected_digest: seen }, { key: said._key })}
      done=${() => (say(t("policy.dropped")), done())} /><//>`;
}
