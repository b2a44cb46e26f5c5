// The text that somebody is working on: kept in this tab until it is saved, so that a reload or a look elsewhere loses nothing.
import { useCallback, useEffect, useLayoutEffect, useState } from "../../vendor/preact.js";
import { Problem, get } from "../../api/client.js";
import { say } from "../../parts/notices.js";
import { t } from "../../words/index.js";

/** Ask for what may not be there: null then. @param {string} url @param {AbortSignal} signal */
export async function getOrNull(url, signal) {
  try {
    return await get(url, signal);
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return null;
    throw problem;
  }
}

/** @typedef {{text: string, from: string, round: number, restored: boolean, mine?: boolean}} Working
 * `mine`: it is what this tab has saved, which stays here whatever others do; `from`: the saved text it was made of; `round`: counts texts that were put in anew. */

/** @param {string} name where it is kept @param {string} base the text that is saved now
 * @returns {{text: string, round: number, dirty: boolean, moved: boolean, restored: boolean, change: (text: string) => void, put: (text: string) => void, saved: (text: string) => void}}
 * `moved`: somebody has saved another text meanwhile. */
export function useWorking(name, base) {
  const [state, setState] = useState(() => begin(name, base));
  const dirty = state.text !== state.from;
  useEffect(() => {
    setState((one) => {
      if (base === one.from) return one;
      if (one.text === base) return { ...one, from: base };
      if (one.mine && one.text === one.from) return { ...one, from: base, mine: false, restored: true };
      return one.text === one.from ? { text: base, from: base, round: one.round + 1, restored: false } : one;
    });
  }, [base]);
  useLayoutEffect(() => keep(name, dirty ? state : null), [name, dirty, state]); // at once: a reload may be the next thing
  useEffect(() => {
    if (!dirty) return undefined;
    const warn = (/** @type {BeforeUnloadEvent} */ event) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);
  useEffect(() => () => void (kept(name) && say(t("policy.kept"))), [name]);
  const change = useCallback((/** @type {string} */ text) => setState((one) => ({ ...one, text })), []);
  const put = useCallback((/** @type {string} */ text) => setState((one) => ({ text, from: text, round: one.round + 1, restored: false })), []);
  const saved = useCallback((/** @type {string} */ text) => setState((one) => ({ ...one, from: text, restored: false, mine: true })), []);
  return { text: state.text, round: state.round, dirty, moved: dirty && base !== state.from, restored: state.restored, change, put, saved };
}

/** @param {string} name @param {string} base @returns {Working} */
function begin(name, base) {
  const found = kept(name);
  if (found && found.text !== base) return { ...found, round: 0, restored: true };
  return { text: base, from: base, round: 0, restored: false };
}

const KEY = "headgate.unsaved ";

/** @param {string} name @returns {{text: string, from: string}|null} */
function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(KEY + name) ?? "null");
  } catch {
    return null;
  }
}

/** @param {string} name @param {Working|null} state */
function keep(name, state) {
  try {
    if (state === null) sessionStorage.removeItem(KEY + name);
    else sessionStorage.setItem(KEY + name, JSON.stringify({ text: state.text, from: state.from }));
  } catch {
    // A tab without room for it: the question before leaving is all there is.
  }
}
