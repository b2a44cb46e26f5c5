// Dialogs and drawers on the browser's own <dialog>: focus is kept inside, Escape closes, the rest of the page is inert.
import { html, useEffect, useId, useRef } from "../vendor/preact.js";
import { t } from "../words/index.js";

/** @param {{title: string, close: () => void, children: any, side?: boolean}} props */
export function Dialog({ title, close, children, side }) {
  const box = useRef(/** @type {HTMLDialogElement|null} */ (null));
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    box.current?.showModal();
    return () => opener instanceof HTMLElement && opener.focus();
  }, []);
  const cancelled = (/** @type {Event} */ event) => {
    event.preventDefault();
    close();
  };
  return html`<dialog ref=${box} class=${side ? "drawer" : "modal"} aria-labelledby=${id} onCancel=${cancelled}
      onMouseDown=${(/** @type {MouseEvent} */ event) => event.target === box.current && close()}>
    <div class="dialog-body">
      <header><h2 id=${id}>${title}</h2><button type="button" class="plain" aria-label=${t("close")} onClick=${close}>✕</button></header>
      ${children}
    </div>
  </dialog>`;
}
