// Begins the console: words, who is reading, then the layout with the page of the address.
import { html, render } from "./vendor/preact.js";
import { hear } from "./api/client.js";
import { begin, lost, stillThem } from "./api/session.js";
import { Layout } from "./parts/layout.js";
import { askForCode } from "./parts/step_up.js";
import { applyTheme } from "./parts/theme.js";
import { followLinks } from "./router.js";
import { loadWords } from "./words/index.js";

applyTheme();
hear({ signedOut: lost, stepUp: askForCode, otherSession: stillThem });
followLinks();
const place = /** @type {HTMLElement} */ (document.getElementById("console"));
const worded = loadWords().catch(() => {
  window.dispatchEvent(new Event("headgate-again"));
  return new Promise(() => {}); // the page is loaded anew
});
const [, problem] = await Promise.all([worded, begin().then(() => null, (error) => error)]);
sessionStorage.removeItem("headgate.again"); // see again.js
render(html`<${Layout} unreachable=${problem} />`, place);
