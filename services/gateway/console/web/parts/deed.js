// A button that asks before it acts: a dialog with the fields of the order, mostly a reason, and its refusal beside them.
import { html, useState } from "../vendor/preact.js";
import { t } from "../words/index.js";
import { Dialog } from "./dialog.js";
import { Field, Form } from "./form.js";
import { say } from "./notices.js";

/**
 * @param {{label: string, title?: string, name?: string, about?: any, deed: (said: Record<string, string>) => Promise<any>, done?: (result: any) => void,
 *   danger?: boolean, primary?: boolean, bare?: boolean, children?: any}} props `name`: what it is done to, for who hears only the button; `bare`: no reason is asked
 */
export function Deed({ label, title, name, about, deed, done, danger, primary, bare, children }) {
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  const finished = (/** @type {any} */ result) => {
    close();
    say(t("done"));
    done?.(result);
  };
  return html`<button type="button" class=${danger ? "danger" : primary ? "primary" : ""} aria-label=${name ? `${label}: ${name}` : undefined} onClick=${() => setOpen(true)}>${label}</button>
    ${open && html`<${Dialog} title=${title ?? label} close=${close}>
      ${about}
      <${Form} deed=${deed} done=${finished} submit=${label} cancel=${close} danger=${danger}>
        ${children}
        ${!bare && html`<${Field} name="reason" label=${t("reason")} hint=${t("reason.hint")} rows="3" required />`}
      <//>
    <//>`}`;
}
