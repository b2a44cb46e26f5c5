// What happens, live: one stream of `GET /api/events` for all of the page, resumed where it broke off.
import { address } from "./client.js";

const SILENCE_MS = 40_000; // a heartbeat comes every 15 s
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 30_000;
// Browsers open six connections to a place over HTTP/1.1, for all tabs together: one that nobody looks at gives its own back.
const HIDDEN_MS = 5_000;

/** @typedef {{type: string, subject?: string, site: string, time: string, data: any}} HeardEvent */
/** @typedef {"off"|"connecting"|"live"|"lost"} LineState */

/** The API will not let this reader hear: to ask again changes nothing. */
class Refused extends Error {}

/** @type {Set<{names: string[], tell: (event: HeardEvent|null) => void}>} */
const listeners = new Set();
/** @type {Set<(state: LineState) => void>} */
const watchers = new Set();
/** @type {LineState} */
let state = "off";
let position = "";
/** @type {AbortController|null} */
let running = null;
/** The sites that are listened to, null: to nothing. @type {string[]|null} */
let wanted = null;
/** @type {() => void} */
let onEnd = () => {};
let hiding = 0;

/** Hear events by name (`governance.gate.decided`, or `tracker.` for all of a service). ``null``: some may be missing, ask
 * for all anew. Returns what ends it.
 * @param {string[]} names @param {(event: HeardEvent|null) => void} tell */
export function listen(names, tell) {
  const listener = { names, tell };
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Be told how the line is, now and at each change. @param {(state: LineState) => void} tell */
export function watchLine(tell) {
  watchers.add(tell);
  tell(state);
  return () => watchers.delete(tell);
}

/** Who is told that the server ended the stream since the reader's rights are others now. @param {() => void} tell */
export function hearEnd(tell) {
  onEnd = tell;
}

/** Begin to hear, from now on, of these sites; none: of all that the reader may. @param {string[]} sites */
export function connect(sites) {
  disconnect();
  wanted = sites;
  resume();
}

/** Hear nothing any more. */
export function disconnect() {
  pause();
  wanted = null;
  position = "";
  set("off");
}

function resume() {
  if (wanted === null || running !== null) return;
  running = new AbortController();
  void keep(wanted, running.signal);
}

function pause() {
  running?.abort();
  running = null;
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.visibilityState === "hidden") hiding = window.setTimeout(pause, HIDDEN_MS);
  else resume(); // from where it was left, so nothing is missed
});

/** @param {LineState} next */
function set(next) {
  if (state === next) return;
  state = next;
  for (const tell of watchers) tell(next);
}

/** @param {HeardEvent|null} event @param {string} [name] */
function tellAll(event, name = "") {
  for (const one of listeners) {
    if (event === null || one.names.some((wanted) => name === wanted || (wanted.endsWith(".") && name.startsWith(wanted)))) one.tell(event);
  }
}

/** @param {string[]} sites @param {AbortSignal} signal */
async function keep(sites, signal) {
  let wait = FIRST_WAIT_MS;
  set("connecting");
  while (!signal.aborted) {
    const resumes = position !== "";
    const before = Date.now();
    try {
      await read(sites, signal, () => {
        wait = FIRST_WAIT_MS;
        // Without a position nothing can be resumed: what happened meanwhile, or before the first word, is asked for.
        if (!resumes) tellAll(null);
        set("live");
      });
    } catch (error) {
      if (error instanceof Refused) return set("off");
      // The line broke, or there are too many: both are shown, and tried again.
    }
    if (signal.aborted) return;
    set("lost");
    if (Date.now() - before < FIRST_WAIT_MS) wait = Math.min(wait * 2, MAX_WAIT_MS);
    await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
  }
}

/** @param {string[]} sites @param {AbortSignal} signal @param {() => void} opened */
async function read(sites, signal, opened) {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE_MS);
  try {
    const answer = await fetch(address("/api/events", { site: sites }), {
      headers: { Accept: "text/event-stream", ...(position ? { "Last-Event-ID": position } : {}) },
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.any([signal, silent.signal]),
    });
    if (answer.status === 401 || answer.status === 403) throw new Refused();
    if (!answer.ok || !answer.body) throw new Error(`HTTP ${answer.status}`);
    opened();
    const parse = parser(heard);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE_MS);
      parse(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** @param {{id: string, event: string, data: string}} frame */
function heard(frame) {
  if (frame.id) position = frame.id;
  if (frame.event === "gap") tellAll(null);
  else if (frame.event === "end") onEnd();
  else {
    try {
      tellAll(JSON.parse(frame.data), frame.event);
    } catch {
      tellAll(null); // what can't be read may have been anything
    }
  }
}

/** Server-sent events (WHATWG HTML, 9.2.6) from pieces of text of any length.
 * @param {(frame: {id: string, event: string, data: string}) => void} tell */
export function parser(tell) {
  let rest = "";
  let frame = { id: "", event: "message", data: /** @type {string[]} */ ([]) };
  return (/** @type {string} */ text) => {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (frame.data.length) tell({ id: frame.id, event: frame.event, data: frame.data.join("\n") });
        frame = { id: "", event: "message", data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "data") frame.data.push(value);
      else if (name === "event") frame.event = value;
      else if (name === "id") frame.id = value;
    }
  };
}
