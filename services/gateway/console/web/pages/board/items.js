// The items of a board: loaded whole, kept up to date by events, changed at once and set right again if that is refused.
import { useCallback, useEffect, useRef } from "../../vendor/preact.js";
import { order, get, path } from "../../api/client.js";
import { askAllPages, sited, useAsked } from "../../api/asking.js";
import { listen } from "../../api/events.js";
import { site } from "../../api/session.js";
import { sayRefused } from "../../parts/notices.js";

export const BASE = "/api/ops/governance/gate/remediation/tracker";

/**
 * @typedef {{id: number, item_id: string, gate: string, site: string, subject: string, version: string, rule_id: string, rule_status: string, required: boolean,
 *   priority: number, owner_role: string, due_at: string|null, action: string, reason: string, assignee: string|null, status: string,
 *   completion_checked: boolean, completion_note: string, is_active: boolean, episode: number, opened_at: string, updated_at: string, updated_by: string,
 *   revision: number, labels: string[], paused_at: string|null, pause_reason: string, due_by_hand: boolean, due_reason: string,
 *   gate_run_id: number, detail: any, line: string, completed_at: string|null, verified_at: string|null}} Item
 */

/** The last change on its way of each item: who changes one twice quickly does not stand in their own way. @type {Map<number, Promise<Item>>} */
const running = new Map();

/** The address of an item's part, such as `comments`. @param {number} id @param {string} [part] */
export const ofItem = (id, part = "") => sited(path`/api/ops/governance/gate/remediation/tracker/items/${id}` + (part && `/${part}`));

/** Whether an event is of an item or its parts: what happens to thousands of others makes nobody ask about this one.
 * @param {number} id */
export const about = (id) => (/** @type {import("../../api/events.js").HeardEvent} */ event) => (event.data.item?.id ?? event.data.link?.item_id ?? event.data.item_id) === id;

/** The newer of two states of an item. Events leave out the rule's detail, which stays as it was.
 * @param {Item|undefined} known @param {Item} item */
const newer = (known, item) => (known && known.revision > item.revision ? known : { ...known, ...item });

/** Items with what was heard of some, and with those that were not there. Newer states win, so events may come in any order.
 * @param {Item[]} items @param {Map<number, Item>} heard @param {boolean} all whether resolved ones belong to them */
function put(items, heard, all) {
  const more = new Map(heard);
  const known = items.map((one) => {
    const item = heard.get(one.id);
    more.delete(one.id);
    return item ? newer(one, item) : one;
  });
  return [...[...more.values()].filter((one) => all || one.is_active), ...known];
}

/** The items of the site's board of a gate; what is resolved meanwhile stays among them. And the one that is open, wherever it is from.
 * @param {string} gate @param {boolean} all resolved ones, too @param {string} openId */
export function useItems(gate, all, openId) {
  const where = site();
  /** What was told since the last question went out: its answer may be of before that. @type {{current: Map<number, Item>}} */
  const heard = useRef(new Map());
  const ask = async (/** @type {string} */ url, /** @type {AbortSignal} */ signal) => {
    heard.current = new Map();
    const found = await askAllPages(url, signal);
    return signal.aborted ? found : { ...found, items: put(found.items, heard.current, all) };
  };
  const asked = useAsked(gate ? sited(`${BASE}/items/page`, { gate, include_inactive: all || undefined, limit: 500 }) : null, { ask });
  const { patch, reload } = asked;
  const here = asked.data?.items.find((/** @type {Item} */ one) => String(one.id) === openId);
  const far = useAsked(openId && asked.data && !here ? ofItem(Number(openId)) : null); // resolved, or of another gate
  const patchFar = far.patch;
  const last = useRef(/** @type {Item|undefined} */ (undefined)); // while it is asked for anew, what is typed beside it stays
  const open = here ?? far.data ?? (String(last.current?.id) === openId ? last.current : undefined);
  last.current = open;
  const place = useCallback((/** @type {Item} */ item) => {
    if (item.site !== where) return;
    patchFar((data) => (data.id === item.id ? newer(data, item) : data));
    if (item.gate !== gate) return;
    heard.current.set(item.id, newer(heard.current.get(item.id), item));
    patch((data) => ({ ...data, items: put(data.items, new Map([[item.id, item]]), all) }));
  }, [gate, where, all, patch, patchFar]);
  // Each change of an item is told with the item, so the whole is asked for only where some may have been missed.
  useEffect(() => listen(["tracker.item."], (event) => (event === null ? reload() : event.data?.item && place(event.data.item))), [place, reload]);

  /** Change an item at once; what is refused is taken back, and what stands at the API is shown.
   * @param {Item} item @param {Record<string, any>} fields @returns {Promise<boolean>} whether it was taken */
  async function change(item, fields) {
    patch((data) => ({ ...data, items: data.items.map((/** @type {Item} */ one) => (one.id === item.id ? { ...one, ...fields } : one)) }));
    const before = running.get(item.id);
    const asked = (async () => {
      const known = await before?.catch(() => null); // after a refusal this one is judged by itself
      return order("PATCH", ofItem(item.id), fields, { ifMatch: Math.max(item.revision, known?.revision ?? 0) });
    })();
    running.set(item.id, asked);
    try {
      const changed = await asked;
      if (running.get(item.id) === asked) place(changed); // else what the next change shows is newer
      return true;
    } catch (problem) {
      sayRefused(problem);
      // What an event brought meanwhile is newer than what this change began with.
      patch((data) => ({ ...data, items: data.items.map((/** @type {Item} */ one) => (one.id === item.id && one.revision === item.revision ? item : one)) }));
      get(ofItem(item.id)).then(place, reload);
      return false;
    } finally {
      if (running.get(item.id) === asked) running.delete(item.id);
    }
  }

  /** Change many by one order. @param {Item[]} items @param {Record<string, any>} fields @returns {Promise<any>} outcomes, null if refused */
  async function changeMany(items, fields) {
    try {
      const result = await order("POST", sited(`${BASE}/items/bulk`), { item_ids: items.map((one) => one.id), patch: fields });
      reload();
      return result;
    } catch (problem) {
      sayRefused(problem);
      return null;
    }
  }
  return { asked, open, missing: open ? null : far.problem, place, change, changeMany };
}

/** Whether an item needs somebody now. @param {Item} item @param {number} now */
export const isLate = (item, now) => item.is_active && item.due_at !== null && item.paused_at === null && Date.parse(item.due_at) < now;

/**
 * What fits the filters, in the order that is wanted.
 * @param {Item[]} items @param {{text: string, status: string, assignee: string, late: string, label: string, sort: string}} wanted @param {string} me @param {number} now
 */
export function select(items, wanted, me, now) {
  const text = wanted.text.trim().toLowerCase();
  const who = wanted.assignee === "me" ? me : wanted.assignee;
  const found = items.filter(
    (one) =>
      (!wanted.status || one.status === wanted.status) &&
      (!who || (who === "none" ? one.assignee === null : one.assignee === who)) &&
      (!wanted.late || isLate(one, now)) &&
      (!wanted.label || one.labels.includes(wanted.label)) &&
      (!text || `${one.rule_id} ${one.reason} ${one.action} ${one.subject} ${one.version} ${one.assignee ?? ""} #${one.id}`.toLowerCase().includes(text)),
  );
  return found.sort(ORDERS[/** @type {keyof typeof ORDERS} */ (wanted.sort)] ?? ORDERS.priority);
}

const due = (/** @type {Item} */ one) => (one.due_at === null ? Infinity : Date.parse(one.due_at));
/** @type {Record<string, (one: Item, other: Item) => number>} */
const ORDERS = {
  priority: (one, other) => Number(other.is_active) - Number(one.is_active) || one.priority - other.priority || due(one) - due(other) || one.id - other.id,
  due: (one, other) => Number(other.is_active) - Number(one.is_active) || due(one) - due(other) || one.id - other.id,
  updated: (one, other) => Date.parse(other.updated_at) - Date.parse(one.updated_at) || one.id - other.id,
};
