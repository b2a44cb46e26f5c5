// Hooks: ask the API and stay up to date; give an order and say how it went.
import { useCallback, useEffect, useRef, useState } from "../vendor/preact.js";
import { Problem, address, get, getAnswer } from "./client.js";
import { listen } from "./events.js";
import { may, site } from "./session.js";

const RELOAD_WAIT_MS = 250; // many events at once ask once
const UNHEARD_MS = 60_000;
const MAX_KEPT = 60;
const MAX_PAGES = 200;

/** Answers of before, so that going back paints at once. @type {Map<string, {data: any, at: number}>} */
const kept = new Map();

/** @param {string} url @param {any} data */
function keep(url, data) {
  kept.delete(url);
  kept.set(url, { data, at: Date.now() });
  if (kept.size > MAX_KEPT) kept.delete(/** @type {string} */ (kept.keys().next().value));
}

/** Forget all answers: somebody else is reading. */
export const forgetAll = () => kept.clear();

/** The site's part of an address. @param {string} path @param {Record<string, any>} [query] */
export const sited = (path, query = {}) => address(path, { site: site(), ...query });

/**
 * @typedef {object} Asked
 * @property {any} data what was answered last, undefined before the first answer
 * @property {Problem|null} problem why the last question failed
 * @property {boolean} loading a question is on its way
 * @property {number} at when `data` came, ms
 * @property {() => void} reload
 * @property {(change: (data: any) => any) => void} patch change what is shown, until the next answer
 */

/** Whether the reader is told of all of these: much is of no site, which takes `global`, and what the gateway tells is about people.
 * @param {string[]} names */
const hears = (names) => [site(), "global"].every((where) => may("event:read", where) && (may("identity:read", where) || !names.some((one) => one.startsWith("gateway."))));

/**
 * Ask, and ask again when one of the events named is heard, if it is `of` what is asked about; of what the reader is not told, each minute.
 * `url` null: nothing is asked.
 * @param {string|null} url @param {{on?: string[], of?: (event: import("./events.js").HeardEvent) => boolean, every?: number, ask?: (url: string, signal: AbortSignal) => Promise<any>}} [how]
 * @returns {Asked}
 */
export function useAsked(url, how = {}) {
  const [shown, setShown] = useState(() => first(url));
  const [round, setRound] = useState(0);
  const timer = useRef(0);
  const busy = useRef(false);
  const due = useRef(false);
  // Steady events must not put the question off for ever, nor break it off each time: one waits while one is on its way.
  const reload = useCallback(() => {
    if (timer.current) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      if (busy.current) due.current = true;
      else setRound((count) => count + 1);
    }, RELOAD_WAIT_MS);
  }, []);
  const current = shown.url === url ? shown : first(url);

  useEffect(() => {
    if (url === null) return undefined;
    const stop = new AbortController();
    busy.current = true;
    const settled = () => {
      busy.current = false;
      if (due.current) reload();
      due.current = false;
    };
    setShown((before) => ({ ...(before.url === url ? before : first(url)), loading: true }));
    (how.ask ?? get)(url, stop.signal).then(
      (data) => {
        keep(url, data);
        if (stop.signal.aborted) return;
        setShown({ url, data, at: Date.now(), problem: null, loading: false });
        settled();
      },
      (problem) => {
        if (stop.signal.aborted) return;
        setShown((before) => ({ ...before, problem: as(problem), loading: false }));
        settled();
      },
    );
    return () => {
      stop.abort();
      busy.current = false;
    };
  }, [url, round]);
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = 0;
    },
    [],
  );
  useEffect(() => (how.on && url !== null ? listen(how.on, (event) => (event === null || !how.of || how.of(event)) && reload()) : undefined), [url, reload, how.on?.join()]);
  const every = how.every ?? (how.on && !hears(how.on) ? UNHEARD_MS : 0);
  useEffect(() => {
    if (!every || url === null) return undefined;
    const ticking = setInterval(() => document.visibilityState === "visible" && reload(), every);
    return () => clearInterval(ticking);
  }, [url, every, reload]);
  const patch = useCallback((/** @type {(data: any) => any} */ change) => {
    setShown((before) => ({ ...before, data: before.data === undefined ? undefined : change(before.data) }));
  }, []);
  return { ...current, reload, patch };
}

/** A page of a list that is a bare array: where the next one begins stands in its Link. @param {string} url @param {AbortSignal} [signal] */
export async function askRows(url, signal) {
  const answer = await getAnswer(url, { signal });
  const next = /[?&]cursor=([^&>]+)/.exec(answer.headers.get("Link") ?? "");
  return { items: await answer.json(), next_cursor: next && decodeURIComponent(next[1]) };
}

/** All of a list that comes in pages (`items`, `next_cursor`), as one: pages of the API are at most so many rows each.
 * @param {string} url @param {AbortSignal} signal */
export async function askAllPages(url, signal) {
  const rows = [];
  let next = url;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await getAnswer(next, { signal });
    const found = await answer.json();
    rows.push(...found.items);
    if (!found.next_cursor) return { ...found, items: rows };
    const further = new URL(url, window.location.origin);
    further.searchParams.set("cursor", found.next_cursor);
    next = further.pathname + further.search;
  }
  return { items: rows, truncated: true };
}

/** @param {string|null} url */
function first(url) {
  const before = url === null ? undefined : kept.get(url);
  return { url, data: before?.data, at: before?.at ?? 0, problem: /** @type {Problem|null} */ (null), loading: url !== null };
}

/** Whatever went wrong, as a problem that can be shown. @param {unknown} error */
export const as = (error) => (error instanceof Problem ? error : new Problem(0, { type: "console:broken", title: "broken", detail: String(error) }));

/**
 * Give orders from a form or a button: `run` resolves to the result, or to undefined after a refusal, which is in `problem`.
 * @returns {{busy: boolean, problem: Problem|null, run: (deed: () => Promise<any>) => Promise<any>, clear: () => void}}
 */
export function useOrder() {
  const [state, setState] = useState({ busy: false, problem: /** @type {Problem|null} */ (null) });
  const run = useCallback(async (/** @type {() => Promise<any>} */ deed) => {
    setState({ busy: true, problem: null });
    try {
      const result = await deed();
      setState({ busy: false, problem: null });
      return result ?? null;
    } catch (error) {
      setState({ busy: false, problem: as(error) });
      return undefined;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: false, problem: null }), []);
  return { ...state, run, clear };
}
