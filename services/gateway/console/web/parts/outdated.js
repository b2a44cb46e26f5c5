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
