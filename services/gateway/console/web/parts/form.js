// Forms: fields with labels, the API's refusals beside the button, nothing sent twice.
import { html, useId, useState } from "../vendor/preact.js";
import { useOrder } from "../api/asking.js";
import { t } from "../words/index.js";
import { Refused } from "./states.js";

/**
 * @typedef {{label: string, name: string, value?: string, type?: string, hint?: string, required?: boolean, options?: [string, string][],
 *   rows?: number, autocomplete?: string, min?: string|number, max?: string|number, list?: string[], placeholder?: string, pattern?: string}} FieldProps
 */

/** An input with its label: a list with `options`, an area with `rows`. What the reader chose stays when the page is drawn
 * anew, so `value` is only where it begins. @param {FieldProps} props */
export function Field({ label, hint, options, rows, list, value, ...input }) {
  const id = useId();
  const about = hint ? { "aria-describedby": `${id}-hint` } : {};
  const box = options
    ? html`<select id=${id} ...${input} ...${about}>${options.map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}</select>`
    : rows
      ? html`<textarea id=${id} rows=${rows} ...${input} ...${about} defaultValue=${value}></textarea>`
      : html`<input id=${id} ...${input} ...${about} defaultValue=${value} list=${list ? `${id}-list` : undefined} />`;
  return html`<div class="field">
    <label for=${id}>${label}${input.required ? html`<span aria-hidden="true"> *</span>` : ""}</label>
    ${box}
    ${list && html`<datalist id="${id}-list">${list.map((one) => html`<option value=${one} />`)}</datalist>`}
    ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
  </div>`;
}

/**
 * A form whose `deed` gets the values by name; `done` is called with the result if it was not refused.
 * @param {{deed: (values: Record<string, string>) => Promise<any>, done?: (result: any) => void, submit: string, children: any, cancel?: () => void, danger?: boolean}} props
 */
export function Form({ deed, done, submit, children, cancel, danger }) {
  const { busy, problem, run } = useOrder();
  const [key, setKey] = useState(() => crypto.randomUUID());
  const send = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (busy) return;
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const values = /** @type {Record<string, string>} */ (Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)])));
    const result = await run(() => deed({ ...values, _key: key }).catch((problem) => {
      // What was refused is refused again under its key, even when nothing stands against it any more.
      if (problem.status >= 400 && problem.status < 500) setKey(crypto.randomUUID());
      throw problem;
    }));
    if (result === undefined) return;
    setKey(crypto.randomUUID());
    done?.(result);
  };
  return html`<form onSubmit=${send} onInput=${() => setKey(crypto.randomUUID())}>
    ${children}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <div class="form-buttons">
      <button type="submit" class=${danger ? "danger" : "primary"} disabled=${busy} aria-busy=${busy}>${submit}</button>
      ${cancel && html`<button type="button" onClick=${cancel}>${t("cancel")}</button>`}
    </div>
  </form>`;
}
