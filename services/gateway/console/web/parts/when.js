// Times: in the reader's zone, in UTC on hover, and how long ago.
import { html, useEffect, useState } from "../vendor/preact.js";
import { languageNow, t } from "../words/index.js";

const STEPS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([
  ["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3_600], ["minute", 60],
]);

/** Makers of text are dear to make: one is kept, for the language of now.
 * @template T @param {(language: string) => T} make @returns {() => T} */
function kept(make) {
  let language = "";
  /** @type {T} */
  let one;
  return () => {
    if (language !== languageNow()) one = make((language = languageNow()));
    return one;
  };
}
const ages = kept((language) => new Intl.RelativeTimeFormat(language, { numeric: "auto" }));
const moments = kept((language) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }));

/** "3 hours ago", "in 2 days". @param {number} at ms @param {number} [now] ms */
export function relative(at, now = Date.now()) {
  const seconds = (at - now) / 1_000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return ages().format(Math.trunc(seconds / size), unit);
  }
  return t("when.now");
}

/** Date and time of a moment in the reader's zone. @param {string|number} at */
export const local = (at) => moments().format(new Date(at));

/** In UTC, as it stands in answers of the API. @param {string|number} at */
export const utc = (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;

const TICK_MS = 30_000;
/** All ages of a page grow by one clock. @type {Set<(now: number) => void>} */
const ageing = new Set();
setInterval(() => ageing.forEach((tell) => tell(Date.now())), TICK_MS);

/** The present moment, ms; the component is drawn anew twice a minute. */
export function useNow() {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    ageing.add(setNow);
    return () => {
      ageing.delete(setNow);
    };
  }, []);
  return now;
}

/** A moment, as it stands in lists that look at the clock once for all their rows. @param {string} at @param {number} now ms @param {string} [how] as of `When` */
export function moment(at, now, how = "age") {
  const ms = Date.parse(at);
  const text = how === "date" ? local(ms) : how === "both" ? `${local(ms)} (${relative(ms, now)})` : relative(ms, now);
  return html`<time datetime=${at} title="${local(ms)} · ${utc(ms)}">${text}</time>`;
}

/** When something must be done, likewise. @param {string} at @param {number} now ms @param {boolean} [done] */
export function deadline(at, now, done) {
  const ms = Date.parse(at);
  const late = !done && ms < now;
  return html`<time class=${late ? "late" : ""} datetime=${at} title="${local(ms)} · ${utc(ms)}">${late ? t("when.over", { time: local(ms) }) : relative(ms, now)}</time>`;
}

export const Never = () => html`<span class="quiet">–</span>`;

/** A moment. `how`: "age" (how long ago, default), "both", or "date". @param {{at: string|null|undefined, how?: string}} props */
export function When({ at, how }) {
  const now = useNow();
  return at ? moment(at, now, how) : html`<${Never} />`;
}

/** When something must be done; what is late is marked. @param {{at: string|null|undefined, done?: boolean}} props */
export function Due({ at, done }) {
  const now = useNow();
  return at ? deadline(at, now, done) : html`<${Never} />`;
}
