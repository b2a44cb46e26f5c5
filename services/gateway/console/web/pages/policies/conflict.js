// Two people wrote at the same draft: both texts beside each other, and the ways out, of which none loses anything unseen.
import { html, useMemo } from "../../vendor/preact.js";
import { Dialog } from "../../parts/dialog.js";
import { t } from "../../words/index.js";
import { Diff, together, unified } from "./diff.js";

/** @param {{work: any, saved: string, draft: any, save: () => void, busy: boolean, close: () => void}} props `saved`: the text that stands where this one was begun */
export function Conflict({ work, saved, draft, save, busy, close }) {
  const both = useMemo(() => together(work.from, work.text, saved), [work.from, work.text, saved]);
  const joined = both !== null && both !== saved && both !== work.text ? both : null;
  const put = (/** @type {() => void} */ how) => () => {
    how();
    close();
  };
  return html`<${Dialog} side title=${draft ? t("policy.conflict", { name: draft.saved_by }) : t("policy.conflict.gone")} close=${close}>
    <p>${t("policy.conflict.what")}</p>
    <${Diff} lines=${unified(saved, work.text)} label=${t("policy.diff")} />
    ${both === null && html`<p class="quiet">${t("policy.conflict.same-place")}</p>`}
    ${joined !== null && html`<p>${t("policy.conflict.join.what")}</p>`}
    <div class="form-buttons">
      ${joined !== null && html`<button type="button" class="primary" onClick=${put(() => work.rebased(joined))}>${t("policy.conflict.join")}</button>`}
      <button type="button" class="danger" disabled=${busy} aria-busy=${busy} onClick=${save}>${t("policy.conflict.mine")}</button>
      <button type="button" onClick=${put(() => work.put(saved))}>${t("policy.conflict.theirs")}</button>
      <button type="button" onClick=${close}>${t("policy.conflict.later")}</button></div><//>`;
}
