// The question for a fresh code, wherever an order needs one; it stands above whatever is open.
import { html, render } from "../vendor/preact.js";
import { order } from "../api/client.js";
import { t } from "../words/index.js";
import { Dialog } from "./dialog.js";
import { Field, Form } from "./form.js";

/** Ask for a code until one is right. Resolves to false if the reader gives up. @returns {Promise<boolean>} */
export function askForCode() {
  return new Promise((resolve) => {
    const place = document.body.appendChild(document.createElement("div"));
    const end = (/** @type {boolean} */ shown) => {
      render(null, place);
      place.remove();
      resolve(shown);
    };
    const deed = (/** @type {Record<string, string>} */ { code }) => order("POST", "/api/me/step-up", { code: code.trim() });
    render(
      html`<${Dialog} title=${t("step-up.title")} close=${() => end(false)}>
        <p>${t("step-up.why")}</p>
        <${Form} deed=${deed} done=${() => end(true)} submit=${t("step-up.go")} cancel=${() => end(false)}>
          <${Field} name="code" label=${t("step-up.code")} autocomplete="one-time-code" required />
        <//>
      <//>`,
      place,
    );
  });
}
