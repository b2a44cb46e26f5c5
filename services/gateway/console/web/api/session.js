// Who is reading: signing in and out, rights, and the site that is looked at.
import { Problem, get, order } from "./client.js";
import { connect, disconnect } from "./events.js";

/** @typedef {{username: string, role: string, sites: string[], permissions: string[], grants: any[], session_id: number|null}} Me */

/** @type {Me|null} */
let me = null;
/** Who read until the session ended: the page stays as it is behind the question to sign in again. @type {Me|null} */
let before = null;
/** @type {Set<() => void>} */
const watchers = new Set();
const SITE = "headgate.site";
/** Of this tab: what is looked at here does not change because somebody looks elsewhere in another one. */
let chosen = sessionStorage.getItem(SITE) ?? localStorage.getItem(SITE);

/** Be told when somebody came in, left or chose another site. @param {() => void} tell */
export function watchSession(tell) {
  watchers.add(tell);
  return () => watchers.delete(tell);
}

const tellAll = () => watchers.forEach((tell) => tell());

/** Who is signed in; null: nobody. */
export const reader = () => me;

/** Whether the reader may do this somewhere: what the page offers. The API decides. @param {string} permission */
export function may(permission) {
  const who = me ?? before;
  return who !== null && (who.permissions.includes(permission) || who.grants.some((held) => held.permissions.includes(permission)));
}

/** The site that is looked at: what was chosen, else the first of the reader's, `global` for who may see all. */
export function site() {
  const who = me ?? before;
  if (chosen && (who === null || who.sites.includes("*") || who.sites.includes(chosen))) return chosen;
  return who?.sites.length && !who.sites.includes("*") ? who.sites[0] : "global";
}

/** @param {string} name */
export function chooseSite(name) {
  chosen = name;
  sessionStorage.setItem(SITE, name);
  localStorage.setItem(SITE, name); // where the next tab begins
  connect(name);
  tellAll();
}

/** Find out who is reading. Raises `Problem`, but not where nobody is signed in. */
export async function begin() {
  try {
    me = await get("/api/me");
    connect(site());
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
    me = null;
  }
  tellAll();
}

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
  if (me === null) return;
  before = me;
  me = null;
  disconnect();
  tellAll();
}

/** Leave, also at the provider, if that can be. */
export async function signOut() {
  const left = await order("POST", "/api/sign-out?next=/console");
  disconnect();
  window.location.assign(left?.provider_sign_out ?? "/console"); // nothing of what was read stays in this page
}
