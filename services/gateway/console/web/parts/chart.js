// A line over time (uPlot), in the colours of the page; the same numbers stand in a table for who can't see it.
import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { languageNow, number, t } from "../words/index.js";

const HEIGHT = 200;

/** A colour of the style sheet. @param {HTMLElement} place @param {string} name */
const colour = (place, name) => {
  const probe = place.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`; // what light-dark() comes to is only known to the browser
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

/**
 * @param {{times: number[], values: (number|null)[], label: string, unit?: (value: number) => string}} props times in ms, oldest first
 */
export function Chart({ times, values, label, unit = number }) {
  const box = useRef(/** @type {HTMLDivElement|null} */ (null));
  const day = (/** @type {number} */ ms) => new Date(ms).toLocaleDateString(languageNow(), { month: "short", day: "numeric" });
  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const line = { stroke: colour(place, "--quiet"), grid: { stroke: colour(place, "--border") }, ticks: { show: false } };
    const chart = new uPlot(
      {
        width: place.clientWidth || 300, height: HEIGHT, legend: { show: false }, cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, high ?? 1) * 1.1] } },
        axes: [{ ...line, values: (_, ticks) => ticks.map((tick) => day(tick * 1_000)) }, { ...line, size: 60, values: (_, ticks) => ticks.map((tick) => unit(tick)) }],
        series: [{}, { label, stroke: colour(place, "--link"), width: 2, points: { show: true, size: 6 } }],
      },
      [times.map((time) => time / 1_000), values],
      place,
    );
    const sized = new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: HEIGHT }));
    sized.observe(place);
    return () => {
      sized.disconnect();
      chart.destroy();
    };
  }, [times.join(), values.join(), label]);
  return html`<figure class="chart"><figcaption>${label}</figcaption><div ref=${box} aria-hidden="true"></div>
    <details><summary>${t("chart.table")}</summary><div class="scroll" tabindex="0"><table><thead><tr><th scope="col">${t("chart.day")}</th><th scope="col" class="number">${label}</th></tr></thead>
      <tbody>${times.map((time, place) => html`<tr><th scope="row">${day(time)}</th><td class="number">${values[place] === null ? "–" : unit(/** @type {number} */ (values[place]))}</td></tr>`)}</tbody></table></div></details></figure>`;
}
