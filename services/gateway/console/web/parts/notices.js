// Short notices of what was done or refused, read out by screen readers; they go by themselves, refusals stay.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { as } from "../api/asking.js";
import { t } from "../words/index.js";
import { Refused } from "./states.js";

const STAY_MS = 6_000;
/** @type {{id: number, text?: string, problem?: any}[]} */
let notices = [];
let counted = 0;
/** Where they can be shown; the last one is on top. @type {object[]} */
let places = [];
const changed = new EventTarget();

/** @param {{text?: string, problem?: any}} notice */
function add(notice) {
  counted += 1;
  const id = counted;
  notices = [...notices.slice(-4), { id, ...notice }];
  changed.dispatchEvent(new Event("change"));
  if (!notice.problem) setTimeout(() => drop(id), STAY_MS);
}

/** @param {number} id */
function drop(id) {
  notices = notices.filter((one) => one.id !== id);
  changed.dispatchEvent(new Event("change"));
}

/** Say that something is done. @param {string} text */
export const say = (text) => add({ text });

/** Say that something was refused. @param {unknown} problem */
export const sayRefused = (problem) => add({ problem: as(problem) });

/** Where they are shown: in the layout, and in each open dialog, since what lies below one is neither seen nor read out. */
export function Notices() {
  const [, redraw] = useState(0);
  const place = useRef({}).current;
  useEffect(() => {
    const look = () => redraw((count) => count + 1);
    changed.addEventListener("change", look);
    places = [...places, place];
    changed.dispatchEvent(new Event("change"));
    return () => {
      changed.removeEventListener("change", look);
      places = places.filter((one) => one !== place);
      changed.dispatchEvent(new Event("change"));
    };
  }, []);
  return html`<div class="notices" aria-live="polite">${places.at(-1) === place && notices.map(
    (one) => html`<div class="notice" key=${one.id}>${one.problem ? html`<${Refused} problem=${one.problem} inline />` : one.text}<button type="button" class="plain" aria-label=${t("close")} onClick=${() => drop(one.id)}>✕</button></div>`,
  )}</div>`;
}
