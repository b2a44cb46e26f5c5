// A line over time, in the colours of the page; the same numbers stand in a table for who can't see it.
import { html } from "../vendor/preact.js";
import { languageNow, number, t } from "../words/index.js";

const HEIGHT = 180; // in pixels; across, all is in percent, so that it is as wide as its place without being measured
const LABELS = 5; // at most so many lines of the scale, and times

/** Lines of a scale: 1, 2 or 5 times a power of ten apart. @param {number} low @param {number} high above `low` */
function scale(low, high) {
  const least = (high - low) / LABELS;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * ([1, 2, 5].find((one) => one * power >= least) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, place) => (first + place) * step);
}

/**
 * @param {{times: number[], values: (number|null)[], label: string}} props times in ms, oldest first; where nothing is known the line has a gap
 */
export function Chart({ times, values, label }) {
  const known = values.filter((one) => one !== null);
  const low = Math.min(0, ...known);
  const high = Math.max(1, ...known) * 1.1;
  const first = times[0] ?? 0;
  const span = (times.at(-1) ?? 0) - first || 1;
  const x = (/** @type {number} */ place) => `${(100 * (times[place] - first)) / span}%`;
  const y = (/** @type {number} */ value) => (HEIGHT * (high - value)) / (high - low);
  const day = (/** @type {number} */ ms) => new Date(ms).toLocaleDateString(languageNow(), { month: "short", day: "numeric" });
  const every = Math.ceil(times.length / LABELS);
  const named = [...times.keys()].filter((place) => (times.length - 1 - place) % every === 0); // the newest in any case
  return html`<figure class="chart"><figcaption>${label}</figcaption>
    <svg height=${HEIGHT} aria-hidden="true">
      ${scale(low, high).map((value) => html`<line x1="0" x2="100%" y1=${y(value)} y2=${y(value)} /><text x="0" dx="-8" y=${y(value)}>${number(value)}</text>`)}
      ${named.map((place) => html`<line x1=${x(place)} x2=${x(place)} y1="0" y2=${HEIGHT} /><text class="under" x=${x(place)} y=${HEIGHT + 16}>${day(times[place])}</text>`)}
      ${values.map((value, place) => {
        const before = values[place - 1] ?? null;
        return value !== null && html`${before !== null && html`<line class="drawn" x1=${x(place - 1)} y1=${y(before)} x2=${x(place)} y2=${y(value)} />`}
          <circle cx=${x(place)} cy=${y(value)} r="4"><title>${day(times[place])}: ${number(value)}</title></circle>`;
      })}
    </svg>
    <details><summary>${t("chart.table")}</summary><div class="scroll" tabindex="0"><table><thead><tr><th scope="col">${t("chart.day")}</th><th scope="col" class="number">${label}</th></tr></thead>
      <tbody>${times.map((time, place) => html`<tr><th scope="row">${day(time)}</th><td class="number">${values[place] === null ? "–" : number(values[place])}</td></tr>`)}</tbody></table></div></details></figure>`;
}
