// The text that somebody is working on: kept in this tab until it is saved, so that a reload or a look elsewhere loses nothing.
import { useCallback, useEffect, useLayoutEffect, useState } from "../../vendor/preact.js";
import { Problem, get } from "../../api/client.js";
import { isLeaving, person } from "../../api/session.js";
import { say } from "../../parts/notices.js";
import { t } from "../../words/index.js";

/** Ask for what may not be there: null then. @param {string} url @param {AbortSignal} [signal] */
export async function getOrNull(url, signal) {
  try {
    return await get(url, signal);
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return null;
    throw problem;
  }
}

/** @typedef {{text: string, from: string, mark: string, round: number, restored: boolean, mine?: boolean}} Working
 * `mine`: it is what this tab has saved, which stays here whatever others do; `from`: the saved text it was made of, `mark`: what that one is known by; `round`: counts texts that were put in anew. */

/** @param {string} what where it is kept, for this person alone @param {string} base the text that is saved now @param {string} [mark] what that is known by
 * `moved`: somebody has saved another text meanwhile; `rebased`: a text that rests on what is saved now. */
export function useWorking(what, base, mark = "") {
  const [name] = useState(() => `${person()} ${what}`); // whoever comes after does not see it
  const [state, setState] = useState(() => begin(name, base, mark));
  const dirty = state.text !== base && !untouched(state);
  useEffect(() => {
    setState((one) => {
      if (one.text !== base && one.from !== base) return untouched(one) ? { text: base, from: base, mark, round: one.round + 1, restored: false } : one;
      return one.from === base && one.mark === mark ? one : { ...one, from: base, mark };
    });
  }, [base, mark]);
  useLayoutEffect(() => keep(name, dirty ? state : null), [name, dirty, state]); // at once: a reload may be the next thing
  useEffect(() => {
    if (!dirty) return undefined;
    const warn = (/** @type {BeforeUnloadEvent} */ event) => void (isLeaving() || event.preventDefault());
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);
  useEffect(() => () => void (kept(name) && name.startsWith(`${person()} `) && say(t("policy.kept"))), [name]);
  const change = useCallback((/** @type {string} */ text) => setState((one) => ({ ...one, text })), []);
  const put = useCallback((/** @type {string} */ text) => setState((one) => ({ text, from: text, mark, round: one.round + 1, restored: false })), [mark]);
  const rebased = useCallback((/** @type {string} */ text) => setState((one) => ({ text, from: base, mark, round: one.round + 1, restored: false })), [base, mark]);
  const saved = useCallback((/** @type {string} */ text, /** @type {string} */ known) => setState((one) => ({ ...one, from: text, mark: known, restored: false, mine: true })), []);
  return { ...state, dirty, moved: dirty && base !== state.from, change, put, rebased, saved };
}

/** Nothing of one's own is in it. @param {Working} one */
const untouched = (one) => one.text === one.from && !one.mine;

/** @param {string} name @param {string} base @param {string} mark @returns {Working} */
function begin(name, base, mark) {
  const found = kept(name);
  if (found && found.text !== base) return { ...found, round: 0, restored: true, mine: found.text === found.from };
  return { text: base, from: base, mark, round: 0, restored: false };
}

const KEY = "headgate.unsaved ";

/** @param {string} name @returns {{text: string, from: string, mark: string}|null} */
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
    else sessionStorage.setItem(KEY + name, JSON.stringify({ text: state.text, from: state.from, mark: state.mark }));
  } catch {
    // A tab without room for it: the question before leaving is all there is.
  }
}
