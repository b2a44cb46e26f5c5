// Dialogs and drawers on the browser's own <dialog>: focus is kept inside, Escape closes, the rest of the page is inert.
import { html, useEffect, useId, useRef } from "../vendor/preact.js";
import { t } from "../words/index.js";
import { Notices } from "./notices.js";

/** @param {{title: string, close?: () => void, children: any, side?: boolean, keep?: boolean}} props
 * `keep`: it is closed by its buttons only, as where a secret is shown once; without `close` not even by those */
export function Dialog({ title, close, children, side, keep }) {
  const box = useRef(/** @type {HTMLDialogElement|null} */ (null));
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    box.current?.showModal();
    return () => opener instanceof HTMLElement && opener.focus();
  }, []);
  const cancelled = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!keep) close?.();
  };
  // A second Escape closes it whatever this says: then it is closed in earnest, or opened again.
  const closed = () => {
    if (keep) queueMicrotask(() => box.current?.isConnected && !box.current.open && box.current.showModal());
    else close?.();
  };
  return html`<dialog ref=${box} class=${side ? "drawer" : "modal"} aria-labelledby=${id} onCancel=${cancelled}
      onMouseDown=${(/** @type {MouseEvent} */ event) => event.target === box.current && !keep && close?.()} onClose=${closed}>
    <div class="dialog-body">
      <header><h2 id=${id}>${title}</h2>${close && html`<button type="button" class="plain" aria-label=${t("close")} onClick=${close}>✕</button>`}</header>
      ${children}
    </div>
    <${Notices} />
  </dialog>`;
}
