// Questions whose answer may not be there yet.
import { get } from "../../api/client.js";

/** What is asked for and may not be there yet: null then. @param {string} url @param {AbortSignal} signal */
export async function askIfThere(url, signal) {
  try {
    return await get(url, signal);
  } catch (problem) {
    if (/** @type {any} */ (problem).status === 404) return null;
    throw problem;
  }
}
