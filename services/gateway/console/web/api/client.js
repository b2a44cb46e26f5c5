// Requests to the public API: one way to ask, one way to order, one kind of error.

/** What the API says when it refuses (RFC 9457), or what stands for it when nothing could be reached. */
export class Problem extends Error {
  /** @param {number} status 0: no answer came @param {Record<string, any>} body */
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.body = body;
    /** @type {string} the last part of its type, such as "conflict" */
    this.slug = String(body.type || "").split(":").pop() || "";
  }
}

const TIMEOUT_MS = 30_000; // until the whole answer is there
const LONG_TIMEOUT_MS = 3_600_000; // of a file
const PENDING_MS = 60_000; // how long an order that waits for its service is asked about
const PENDING_EVERY_MS = 1_000;

const CSRF = "X-CSRF-Token";
/** What is the session's alone, so that another one means another session. */
let csrf = "";
/** Where sessions begin and end. */
const DOORS = /^\/api\/(sign-in|sign-out|sessions|passwords)\b/;
/** @type {() => void} */
let onSignedOut = () => {};
/** @type {(problem: Problem) => Promise<boolean>} */
let onStepUp = async () => false;
/** @type {() => Promise<boolean>} */
let onOtherSession = async () => true;

/** Who is told that the session is over, who asks for a fresh code, and who finds out whether another session is of the same person
 * (false: it is not); all are set once, by main.js.
 * @param {{signedOut: () => void, stepUp: (problem: Problem) => Promise<boolean>, otherSession: () => Promise<boolean>}} heard */
export function hear(heard) {
  onSignedOut = heard.signedOut;
  onStepUp = heard.stepUp;
  onOtherSession = heard.otherSession;
}

/** An address with its query; what is undefined, null or "" is left out.
 * @param {string} path @param {Record<string, any>} [query] */
export function address(path, query = {}) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") asked.append(name, String(one));
    }
  }
  return asked.size ? `${path}?${asked}` : path;
}

/** Path segments from outside, such as a subject with a slash in it.
 * @param {TemplateStringsArray} parts @param {...(string|number)} values */
export function path(parts, ...values) {
  return parts.reduce((made, part, place) => made + encodeURIComponent(String(values[place - 1])) + part);
}

/** Ask for JSON. @param {string} url @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(url, signal) {
  const answer = await send("GET", url, { signal });
  return body(answer);
}

/** Who is signed in in this browser now; `adopt`: orders of this page are theirs from here on. @returns {Promise<{me: any, adopt: () => void}>} */
export async function askWho() {
  const answer = await send("GET", "/api/me", { whoever: true });
  return { me: await body(answer), adopt: () => void (csrf = answer.headers.get(CSRF) ?? "") };
}

/** The answer itself, for what is no JSON or has headers that matter (ETag, Link).
 * @param {string} url @param {{signal?: AbortSignal, accept?: string, long?: boolean}} [how] */
export function getAnswer(url, how = {}) {
  return send("GET", url, how);
}

/**
 * Give an order and wait for its outcome. A lost answer is asked for again under the same key, so nothing is done twice.
 * @param {"POST"|"PUT"|"PATCH"|"DELETE"} method @param {string} url @param {any} [content]
 * `ifMatch`: an ETag, or a revision; what has another by now is refused (412).
 * @param {{ifMatch?: string|number, key?: string, headers?: Record<string, string>}} [how]
 * @returns {Promise<any>} the result, null if there is none
 */
export async function order(method, url, content, how = {}) {
  const key = how.key ?? crypto.randomUUID();
  /** @type {Record<string, string>} */
  const headers = { "Idempotency-Key": key, ...how.headers };
  // What was read in a list has no ETag, but the number that an ETag begins with.
  if (typeof how.ifMatch === "number") content = { ...content, if_revision: how.ifMatch };
  else if (how.ifMatch !== undefined) headers["If-Match"] = how.ifMatch;
  const ask = () => send(method, url, { content, headers });
  let answer;
  try {
    answer = await again(ask);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.slug !== "insufficient-user-authentication") throw problem;
    if (!(await onStepUp(problem))) throw problem;
    answer = await again(ask);
  }
  if (answer.status === 202 && answer.headers.get("Location")) return settled(answer);
  return body(answer);
}

/** Once more after a lost line: the key makes it the same order. @param {() => Promise<Response>} ask */
async function again(ask) {
  try {
    return await ask();
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 0) throw problem;
    return ask();
  }
}

/** Wait for an order that was accepted while its service was busy or away. A secret stands only in the first answer.
 * @param {Response} accepted */
async function settled(accepted) {
  const place = /** @type {string} */ (accepted.headers.get("Location"));
  const { command: _command, state: _state, status_url: _url, ...once } = (await body(accepted)) ?? {};
  const until = Date.now() + PENDING_MS;
  while (Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, PENDING_EVERY_MS));
    // It is kept, so a look that fails is no refusal of it.
    const outcome = await get(place).catch((problem) => {
      if (problem.status === 0 || problem.status === 429 || problem.status >= 500) return { state: "pending" };
      throw problem;
    });
    if (outcome.state === "pending" || outcome.state === "waiting") continue;
    if (outcome.http_status >= 400) throw new Problem(outcome.http_status, outcome.result ?? { title: outcome.state });
    const ours = once.fingerprint !== undefined && once.fingerprint === outcome.result?.fingerprint;
    return ours ? { ...outcome.result, ...once } : outcome.result;
  }
  throw new Problem(202, { title: "pending", detail: place, type: "console:pending" });
}

/** @param {Response} answer */
async function body(answer) {
  if (answer.status === 204 || answer.headers.get("Content-Length") === "0") return null;
  return /json/.test(answer.headers.get("Content-Type") ?? "") ? answer.json() : answer.text();
}

/** @param {string} method @param {string} url
 * @param {{content?: any, headers?: Record<string, string>, signal?: AbortSignal, accept?: string, long?: boolean, whoever?: boolean}} how `whoever`: also of another session */
async function send(method, url, how) {
  /** @type {Record<string, string>} */
  const headers = { Accept: how.accept ?? "application/json", ...how.headers };
  const mine = csrf;
  if (method !== "GET") headers[CSRF] = mine;
  if (how.content !== undefined) headers["Content-Type"] ??= "application/json";
  const late = AbortSignal.timeout(how.long ? LONG_TIMEOUT_MS : TIMEOUT_MS);
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers,
      body: how.content === undefined ? undefined : typeof how.content === "string" ? how.content : JSON.stringify(how.content),
      credentials: "same-origin",
      signal: how.signal ? AbortSignal.any([how.signal, late]) : late,
    });
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new Problem(0, { type: "console:unreachable", title: "unreachable", detail: "" });
  }
  const said = answer.headers.get(CSRF);
  if (said && !how.whoever && !DOORS.test(url)) {
    csrf ||= said;
    if (said !== csrf) {
      // Nothing of another person's session is shown on this page, and nothing is ordered in it.
      if (!(await onOtherSession())) throw new Problem(409, { type: "console:other-person", title: "other-person" });
      if (answer.status === 403 && method !== "GET" && csrf !== mine) return send(method, url, how);
    }
  }
  if (answer.ok || answer.status === 304) return answer;
  const problem = new Problem(answer.status, await answer.json().catch(() => ({ title: answer.statusText })));
  if (answer.status === 401 && !url.startsWith("/api/sign-in") && !url.startsWith("/api/passwords")) onSignedOut();
  throw problem;
}
