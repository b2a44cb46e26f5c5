// The question for a fresh code, wherever an order needs one; it stands above whatever is open.
import { html, useEffect, useState } from "../vendor/preact.js";
import { order } from "../api/client.js";
import { t } from "../words/index.js";
import { Dialog } from "./dialog.js";
import { Field, Form } from "./form.js";

/** Orders that wait for the code; one answers all. @type {((shown: boolean) => void)[]} */
let waiting = [];
/** @type {(() => void)|null} */
let tell = null;

/** Ask for a code until one is right. Resolves to false if the reader gives up. @returns {Promise<boolean>} */
export async function askForCode() {
  if (!tell) return false;
  const shown = new Promise((resolve) => waiting.push(resolve));
  tell();
  return shown;
}

/** @param {boolean} shown */
function end(shown) {
  const all = waiting;
  waiting = [];
  tell?.();
  all.forEach((resolve) => resolve(shown));
}

/** Part of the page, as each root has ids that begin anew: a label of another one would name a field of what lies below. */
export function StepUp() {
  const [, redraw] = useState(0);
  useEffect(() => {
    tell = () => redraw((count) => count + 1);
    return () => {
      tell = null;
      end(false);
    };
  }, []);
  const deed = (/** @type {Record<string, string>} */ { code }) => order("POST", "/api/me/step-up", { code: code.trim() });
  return waiting.length > 0 && html`<${Dialog} title=${t("step-up.title")} close=${() => end(false)}>
    <p>${t("step-up.why")}</p>
    <${Form} deed=${deed} done=${() => end(true)} submit=${t("step-up.go")} cancel=${() => end(false)}>
      <${Field} name="code" label=${t("step-up.code")} autocomplete="one-time-code" required />
    <//>
  <//>`;
}
