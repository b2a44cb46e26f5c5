// Addresses: `/console/…` and the query are the whole state of a page that somebody may want to share.
import { useEffect, useState } from "./vendor/preact.js";

export const BASE = "/console";
const changed = new EventTarget();

/** @typedef {{path: string, query: URLSearchParams}} Place */

/** Where the reader is: the path below the console, without a slash at its end. @returns {Place} */
export function place() {
  const path = window.location.pathname.slice(BASE.length).replace(/\/+$/, "") || "/";
  return { path, query: new URLSearchParams(window.location.search) };
}

/** An address with the site that the present one names, if it names none itself. @param {string} to */
function beside(to) {
  const url = new URL(to, window.location.origin);
  const site = place().query.get("site");
  if (site && !url.searchParams.has("site")) url.searchParams.set("site", site);
  return url.pathname + url.search;
}

/** @param {string} path below the console, with its query @param {{replace?: boolean}} [how] */
export function go(path, how = {}) {
  window.history[how.replace ? "replaceState" : "pushState"](null, "", beside(path.startsWith(BASE) ? path : BASE + path.replace(/^\/(?=$|\?)/, "")));
  changed.dispatchEvent(new Event("place"));
}

/** Be told when the reader goes somewhere, also back and forth. @param {() => void} tell */
export function watchPlace(tell) {
  changed.addEventListener("place", tell);
  window.addEventListener("popstate", tell);
  return () => {
    changed.removeEventListener("place", tell);
    window.removeEventListener("popstate", tell);
  };
}

/** The present place; the component is drawn anew when it changes. */
export function usePlace() {
  const [now, setNow] = useState(place);
  useEffect(() => watchPlace(() => setNow(place())), []);
  return now;
}

/** One value of the query as state: `const [text, setText] = useQueryValue("q")`. @param {string} name @param {string} [otherwise]
 * @returns {[string, (value: string) => void]} */
export function useQueryValue(name, otherwise = "") {
  const { query } = usePlace();
  return [query.get(name) ?? otherwise, (value) => setQuery({ [name]: value === otherwise ? "" : value })];
}

/** Change values of the query in place; "" takes one away. @param {Record<string, string>} values @param {{replace?: boolean}} [how] */
export function setQuery(values, how = { replace: true }) {
  const { path, query } = place();
  for (const [name, value] of Object.entries(values)) {
    if (value === "") query.delete(name);
    else query.set(name, value);
  }
  go(query.size ? `${path}?${query}` : path, how);
}

/** Links that got their site here. @type {WeakSet<Element>} */
const given = new WeakSet();

/** The link of the console that an event is about, with the site, so that it is also there where it is copied or opened elsewhere.
 * @param {Event} event */
function linkOf({ target }) {
  const link = target instanceof Element ? target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement)) return null;
  const url = new URL(link.href);
  if (url.origin !== window.location.origin || (url.pathname !== BASE && !url.pathname.startsWith(`${BASE}/`))) return null;
  if (given.has(link)) url.searchParams.delete("site"); // another one may be looked at by now
  if (!url.searchParams.has("site")) given.add(link);
  link.href = beside(url.pathname + url.search);
  return link;
}

/** Links within the console need no load. @param {MouseEvent} event */
function follow(event) {
  const link = linkOf(event);
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

/** Set once, on the document. */
export function followLinks() {
  document.addEventListener("click", follow);
  for (const name of ["pointerdown", "focusin"]) document.addEventListener(name, linkOf);
}

/** The values of `:names` in a pattern such as `/gates/:gate/runs/:run`, null if the path is another.
 * @param {string} pattern @param {string} path @returns {Record<string, string>|null} */
export function match(pattern, path) {
  const wanted = pattern.split("/");
  const found = path.split("/");
  if (wanted.length !== found.length) return null;
  /** @type {Record<string, string>} */
  const values = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(":")) {
      try {
        values[part.slice(1)] = decodeURIComponent(found[index]);
      } catch {
        return null;
      }
    } else if (part !== found[index]) return null;
  }
  return values;
}
