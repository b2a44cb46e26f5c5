// Lists that come in pages: the first one stays up to date, more are asked for by a button.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { useAsked, useOrder } from "../api/asking.js";
import { get } from "../api/client.js";
import { t } from "../words/index.js";
import { Refused, Shown } from "./states.js";

/** @typedef {{rows: any[], next: string|null}} Further */

/**
 * The rows of a list with `items` and `next_cursor`. `key` tells rows apart.
 * @param {string|null} url @param {string} key @param {{on?: string[], every?: number, ask?: (url: string, signal?: AbortSignal) => Promise<any>}} [how]
 */
export function usePaged(url, key, how = {}) {
  const asked = useAsked(url, how);
  const [further, setFurther] = useState(/** @type {{url: string|null, rows: any[], next: string|null}} */ ({ url: null, rows: [], next: null }));
  const { busy, problem, run } = useOrder();
  const first = asked.data?.items ?? [];
  const before = useRef(/** @type {any[]} */ ([]));
  const mine = further.url === url;
  useEffect(() => {
    // What new rows pushed off the first page goes before the further ones, else it would be missing in the middle. If
    // nothing of before stands on the first page any more, there may be a gap: then the list begins anew.
    const now = new Set(first.map((/** @type {any} */ one) => one[key]));
    const last = before.current.findLastIndex((one) => now.has(one[key]));
    if (mine && before.current.length && first.length) {
      const pushed = before.current.slice(last + 1);
      if (last < 0) setFurther({ url: null, rows: [], next: null });
      else if (pushed.length) setFurther((held) => ({ ...held, rows: [...pushed, ...held.rows] }));
    }
    before.current = first;
  }, [asked.at]);
  const shown = new Set(first.map((/** @type {any} */ one) => one[key]));
  const rows = mine ? [...first, ...further.rows.filter((one) => !shown.has(one[key]))] : first;
  const next = mine ? further.next : (asked.data?.next_cursor ?? null);
  const more = () =>
    run(async () => {
      const found = await (how.ask ?? get)(`${url}${String(url).includes("?") ? "&" : "?"}cursor=${encodeURIComponent(String(next))}`);
      setFurther((held) => ({ url, rows: held.url === url ? [...held.rows, ...found.items] : found.items, next: found.next_cursor ?? null }));
    });
  return { asked, rows, next, more, busy, problem };
}

/** Such a list, and the button for more. @param {{paged: ReturnType<typeof usePaged>, children: (rows: any[]) => any}} props */
export function Paged({ paged, children }) {
  return html`<${Shown} asked=${paged.asked}>${() => html`${children(paged.rows)}
    ${paged.problem && html`<${Refused} problem=${paged.problem} inline />`}
    ${paged.next && html`<p><button type="button" disabled=${paged.busy} aria-busy=${paged.busy} onClick=${paged.more}>${t("more")}</button></p>`}`}<//>`;
}
