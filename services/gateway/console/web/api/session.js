// Who is reading: signing in and out, rights, and the site that is looked at.
import { Problem, askWho, order } from "./client.js";
import { place, setQuery, watchPlace } from "../router.js";
import { connect, disconnect, hearEnd } from "./events.js";

/** @typedef {{role: string, sites: string[], permissions: string[]}} Power */
/** @typedef {{username: string, role: string, sites: string[], permissions: string[], grants: Power[], powers?: Power[], session_id: number|null}} Me */

/** @type {Me|null} */
let me = null;
/** Who read until the session ended: the page stays as it is behind the question to sign in again. @type {Me|null} */
let before = null;
/** Who reads in this browser by now, where that is not whom this page was made for. @type {{was: string, now: string}|null} */
let other = null;
/** @type {Promise<boolean>|null} */
let looking = null;
let leaving = false;
/** The site that was heard of last. */
let heard = "";
/** A page that shows all sites hears of all. */
let wide = false;
/** @type {Set<() => void>} */
const watchers = new Set();
/** All tabs of this browser have one session: each tells the others when it begins and ends. */
const tabs = new BroadcastChannel("headgate.session");
const SITE = "headgate.site";
/** Of this tab, where the address names none: what is looked at here does not change because somebody looks elsewhere in another one. */
let chosen = sessionStorage.getItem(SITE) ?? localStorage.getItem(SITE);

/** Be told when somebody came in, left or chose another site. @param {() => void} tell */
export function watchSession(tell) {
  watchers.add(tell);
  return () => watchers.delete(tell);
}

const tellAll = () => watchers.forEach((tell) => tell());

/** Who is signed in; null: nobody. */
export const reader = () => me;

/** Whom this page is made for, also while nobody is signed in; "": nobody yet. */
export const person = () => (me ?? before)?.username ?? "";

/** Who is signed in in this browser instead of whom this page was made for; null: nobody else. */
export const stranger = () => other;

/** Each role that counts for the reader, with what it holds and where. A gateway of before lists only those beside the own one.
 * @param {string} permission */
function holding(permission) {
  const who = me ?? before;
  return who === null ? [] : (who.powers ?? [who, ...who.grants]).filter((held) => held.permissions.includes(permission));
}

/** Whether the reader may do this at a site: what the page offers. The API decides. @param {string} permission @param {string} [where] */
export const may = (permission, where = site()) => holding(permission).some(({ sites }) => sites.includes("*") || sites.includes(where));

/** Whether they may order what changes the whole installation, which takes all sites. @param {string} permission */
export const mayAll = (permission) => may(permission, "*");

/** Where they may; for what concerns no site, anywhere will do. @param {string} permission */
export const sitesOf = (permission) => [...new Set(holding(permission).flatMap(({ sites }) => sites))].sort();

/** Whether they may do it anywhere. @param {string} permission */
export const mayAnywhere = (permission) => sitesOf(permission).length > 0;

/** @param {string|null} name */
const sees = (name) => name !== null && [name, "*"].some((one) => (me ?? before)?.sites.includes(one));
const named = () => place().query.get("site");

/** The site that the address names though the reader may not see it; null: none. */
export const strangeSite = () => (named() && (me ?? before) && !sees(named()) ? named() : null);

/** The site that is looked at: that of the address, else what was chosen, else the first of the reader's, `global` for who may see all. */
export function site() {
  const found = [named(), chosen].find(sees);
  if (found) return found;
  const { sites = [] } = me ?? before ?? {};
  return sites.length && !sites.includes("*") ? sites[0] : "global";
}

/** Hear of the site that is looked at, and of what is of no site or of all, as far as the reader may. */
function hear() {
  heard = site();
  connect(wide ? [] : [...new Set([heard, ...(may("event:read", "global") ? ["global"] : [])])]);
}

/** Hear of all the reader's sites; returns what ends it. */
export function hearAll() {
  const turn = (/** @type {boolean} */ on) => {
    wide = on;
    if (me !== null) hear();
  };
  turn(true);
  return () => turn(false);
}

/** What somebody may, to compare. @param {Me|null} who */
const rightsOf = (who) => JSON.stringify([who?.role, who?.sites, who?.permissions, who?.grants, who?.powers]);

/** Look at another site, at the same place. @param {string} name */
export function chooseSite(name) {
  localStorage.setItem(SITE, name); // where the next tab begins
  setQuery({ site: name }, {});
}

/** Who has more than one site has it in each address, so that it can be shared. */
function nameSite() {
  if (me === null || strangeSite()) return;
  if (!named() && (me.sites.length > 1 || me.sites.includes("*"))) setQuery({ site: site() });
  chosen = site();
  sessionStorage.setItem(SITE, chosen);
}

watchPlace(() => {
  nameSite();
  if (me === null || heard === site()) return;
  hear();
  tellAll();
});

/** Find out who is reading. Raises `Problem`, but not where nobody is signed in. */
export async function begin() {
  try {
    const found = await askWho();
    found.adopt();
    me = found.me;
    other = null;
    hear();
    nameSite();
    tabs.postMessage(found.me.session_id);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
    me = null;
  }
  tellAll();
}

/** Whether it is still the same person who is signed in in this browser; who else it is, is told to all who watch.
 * Raises `Problem` where that was not heard. */
export function stillThem() {
  looking ??= look().finally(() => (looking = null));
  return looking;
}

async function look() {
  const was = person();
  if (!was) return true;
  const found = await askWho().catch((problem) => {
    if (problem.status === 401) return null; // nobody, which is told
    throw problem; // who it is was not heard: that is what is said
  });
  if (found === null || person() !== was) return false; // the page is somebody else's by now
  if (found.me.username !== was) {
    if (other?.now !== found.me.username) {
      other = { was, now: found.me.username };
      disconnect();
      tellAll();
    }
    return false;
  }
  const another = me === null || other !== null || me.session_id !== found.me.session_id || rightsOf(me) !== rightsOf(found.me);
  found.adopt();
  me = found.me;
  other = null;
  if (another) {
    hear();
    nameSite();
    tellAll();
  }
  return true;
}

tabs.addEventListener("message", (event) => {
  if (!person()) void begin().catch(() => {}); // the question to sign in has its answer
  else if (me === null || other !== null || event.data !== me.session_id) void stillThem().catch(() => {});
});
for (const [place, name] of /** @type {[EventTarget, string][]} */ ([[window, "focus"], [document, "visibilitychange"]])) {
  place.addEventListener(name, () => void ((me ?? other) !== null && document.visibilityState === "visible" && stillThem().catch(() => {})));
}

hearEnd(() => void stillThem().catch(() => {})); // where that was not heard, the next look tells

/** Load the page for whoever is signed in now. What is typed and not saved goes, but for texts that are kept for their writer. */
export function loadForThem() {
  leaving = true;
  window.location.reload();
}

/** Whether this page is about to go, as it was decided. */
export const isLeaving = () => leaving;

/** @param {string} username @param {string} password @param {string} code "" where no second factor is */
export async function signInByPassword(username, password, code) {
  await order("POST", "/api/sign-in", { username, password, ...(code ? { code } : {}) });
  await begin();
}

/** A token is exchanged for a session and kept nowhere. @param {string} token */
export async function signInByToken(token) {
  await order("POST", "/api/sessions", {}, { headers: { Authorization: `Bearer ${token}` } });
  await begin();
}

/** The API said that nobody is signed in any more. */
export function lost() {
  if (me === null && other === null) return;
  before = me ?? before;
  me = null;
  other = null;
  disconnect();
  tellAll();
}

/** Leave, also at the provider, if that can be. */
export async function signOut() {
  const left = await order("POST", "/api/sign-out?next=/console");
  disconnect();
  tabs.postMessage(null);
  window.location.assign(left?.provider_sign_out ?? "/console"); // nothing of what was read stays in this page
}
