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

/** @param {string} path below the console, with its query @param {{replace?: boolean}} [how] */
export function go(path, how = {}) {
  window.history[how.replace ? "replaceState" : "pushState"](null, "", path.startsWith(BASE) ? path : BASE + (path === "/" ? "" : path));
  changed.dispatchEvent(new Event("place"));
}

/** The present place; the component is drawn anew when it changes. */
export function usePlace() {
  const [now, setNow] = useState(place);
  useEffect(() => {
    const look = () => setNow(place());
    changed.addEventListener("place", look);
    window.addEventListener("popstate", look);
    return () => {
      changed.removeEventListener("place", look);
      window.removeEventListener("popstate", look);
    };
  }, []);
  return now;
}

/** One value of the query as state: `const [text, setText] = useQueryValue("q")`. @param {string} name @param {string} [otherwise]
 * @returns {[string, (value: string) => void]} */
export function useQueryValue(name, otherwise = "") {
  const { query } = usePlace();
  return [query.get(name) ?? otherwise, (value) => setQuery({ [name]: value === otherwise ? "" : value })];
}

/** Change values of the query in place; "" takes one away. @param {Record<string, string>} values */
export function setQuery(values) {
  const { path, query } = place();
  for (const [name, value] of Object.entries(values)) {
    if (value === "") query.delete(name);
    else query.set(name, value);
  }
  go(query.size ? `${path}?${query}` : path, { replace: true });
}

/** Links within the console need no load. Set once, on the document. @param {MouseEvent} event */
export function followLinks(event) {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== window.location.origin || (url.pathname !== BASE && !url.pathname.startsWith(`${BASE}/`))) return;
  event.preventDefault();
  go(url.pathname + url.search);
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
