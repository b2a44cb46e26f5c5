// Times: in the reader's zone, in UTC on hover, and how long ago.
import { html, useEffect, useState } from "../vendor/preact.js";
import { languageNow, t } from "../words/index.js";

const STEPS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([
  ["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3_600], ["minute", 60],
]);

/** "3 hours ago", "in 2 days". @param {number} at ms @param {number} [now] ms */
export function relative(at, now = Date.now()) {
  const seconds = (at - now) / 1_000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return new Intl.RelativeTimeFormat(languageNow(), { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
  }
  return t("when.now");
}

/** Date and time of a moment in the reader's zone. @param {string|number} at */
export const local = (at) => new Date(at).toLocaleString(languageNow(), { dateStyle: "medium", timeStyle: "short" });

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

/** A moment. `how`: "age" (how long ago, default), "both", or "date". @param {{at: string|null|undefined, how?: string}} props */
export function When({ at, how = "age" }) {
  const now = useNow();
  if (!at) return html`<span class="quiet">–</span>`;
  const ms = Date.parse(at);
  const text = how === "date" ? local(ms) : how === "both" ? `${local(ms)} (${relative(ms, now)})` : relative(ms, now);
  return html`<time datetime=${at} title="${local(ms)} · ${utc(ms)}">${text}</time>`;
}

/** When something must be done; what is late is marked. @param {{at: string|null|undefined, done?: boolean}} props */
export function Due({ at, done }) {
  const now = useNow();
  if (!at) return html`<span class="quiet">–</span>`;
  const ms = Date.parse(at);
  const late = !done && ms < now;
  return html`<time class=${late ? "late" : ""} datetime=${at} title="${local(ms)} · ${utc(ms)}">${late ? t("when.over", { time: local(ms) }) : relative(ms, now)}</time>`;
}
