// After an upgrade of the gateway the files that a page has not loaded yet are others.
import { BASE } from "../router.js";

/** Whether the gateway has another console by now than the one that this page began with: its page names another place.
 * @returns {Promise<boolean>} false, too, where it can't be asked */
export async function outdated() {
  const begun = /** @type {HTMLScriptElement} */ (document.querySelector("script[type=module]"));
  try {
    const answer = await fetch(BASE, { cache: "no-store" });
    return answer.ok && !(await answer.text()).includes(new URL(begun.src).pathname);
  } catch {
    return false;
  }
}

const KEY = "headgate.outdated";
const PAUSE_MS = 10_000;

/** Load the page anew: at once, but not again and again while gateways of two versions answer in turn. */
export function loadAnew() {
  const wait = Number(sessionStorage.getItem(KEY)) + PAUSE_MS > Date.now() ? PAUSE_MS : 0;
  sessionStorage.setItem(KEY, String(Date.now() + wait));
  setTimeout(() => window.location.reload(), wait);
}
