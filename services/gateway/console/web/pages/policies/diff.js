// Differences of two texts, line by line, as a unified diff: made here of a text that is being written, or told by the API.
import { html } from "../../vendor/preact.js";
import { t } from "../../words/index.js";

const AROUND = 3; // lines of context
const MAX_CELLS = 4_000_000; // beyond it the lines between are shown as taken away and added

/** The lines of a unified diff; none if both are equal. @param {string} before @param {string} after @returns {string[]} */
export const unified = (before, after) => near(compared(before, after));

/** All lines of both, each with what became of it before it: a blank, - or +. @param {string} before @param {string} after @returns {string[]} */
function compared(before, after) {
  const old = split(before);
  const now = split(after);
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < old.length - head && tail < now.length - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail += 1;
  return [
    ...old.slice(0, head).map((line) => ` ${line}`),
    ...middle(old.slice(head, old.length - tail), now.slice(head, now.length - tail)),
    ...old.slice(old.length - tail).map((line) => ` ${line}`),
  ];
}

/** What two people made of one text, if they changed different places; null: they changed the same ones.
 * @param {string} base @param {string} mine @param {string} theirs @returns {string|null} */
export function together(base, mine, theirs) {
  const [ours, others] = [pieces(base, mine), pieces(base, theirs)];
  const all = [...ours, ...others].sort((one, other) => one.at - other.at || one.to - other.to);
  const old = split(base);
  const made = /** @type {string[]} */ ([]);
  let at = 0;
  for (const [place, one] of all.entries()) {
    const before = all[place - 1];
    if (before && before.at === one.at && before.to === one.to && before.lines.join("\n") === one.lines.join("\n")) continue; // both did the same
    if (before && one.at <= before.to) return null;
    made.push(...old.slice(at, one.at), ...one.lines);
    at = one.to;
  }
  return [...made, ...old.slice(at), ""].join("\n");
}

/** The pieces that were changed: which lines of before, and what stands for them now. @param {string} before @param {string} after */
function pieces(before, after) {
  const found = /** @type {{at: number, to: number, lines: string[]}[]} */ ([]);
  let place = 0;
  let inside = false;
  for (const line of compared(before, after)) {
    if (line[0] === " ") inside = false;
    else {
      if (!inside) found.push({ at: place, to: place, lines: [] });
      inside = true;
      const piece = found[found.length - 1];
      if (line[0] === "+") piece.lines.push(line.slice(1));
      else piece.to = place + 1;
    }
    if (line[0] !== "+") place += 1;
  }
  return found;
}

const split = (/** @type {string} */ text) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

/** The longest common lines stay. @param {string[]} old @param {string[]} now @returns {string[]} */
function middle(old, now) {
  const width = now.length + 1;
  if ((old.length + 1) * width > MAX_CELLS) return [...old.map((line) => `-${line}`), ...now.map((line) => `+${line}`)];
  const common = new Uint16Array((old.length + 1) * width);
  for (let a = old.length - 1; a >= 0; a -= 1) {
    for (let b = now.length - 1; b >= 0; b -= 1) {
      common[a * width + b] = old[a] === now[b] ? common[(a + 1) * width + b + 1] + 1 : Math.max(common[(a + 1) * width + b], common[a * width + b + 1]);
    }
  }
  const lines = [];
  let [a, b] = [0, 0];
  while (a < old.length || b < now.length) {
    if (a < old.length && b < now.length && old[a] === now[b]) {
      lines.push(` ${old[a]}`);
      a += 1;
      b += 1;
    } else if (b >= now.length || (a < old.length && common[(a + 1) * width + b] >= common[a * width + b + 1])) {
      lines.push(`-${old[a]}`);
      a += 1;
    } else {
      lines.push(`+${now[b]}`);
      b += 1;
    }
  }
  return lines;
}

/** Only what is near a change, with the places of each piece. @param {string[]} lines */
function near(lines) {
  const wanted = new Uint8Array(lines.length);
  lines.forEach((line, place) => {
    if (line[0] !== " ") wanted.fill(1, Math.max(0, place - AROUND), place + AROUND + 1);
  });
  const found = /** @type {string[]} */ ([]);
  let [old, now] = [1, 1];
  lines.forEach((line, place) => {
    if (wanted[place]) {
      if (!wanted[place - 1]) found.push(`@@ -${old} +${now} @@`);
      found.push(line);
    }
    if (line[0] !== "+") old += 1;
    if (line[0] !== "-") now += 1;
  });
  return found;
}

const KINDS = { "+": "added", "-": "removed", "@": "place" };

/** A unified diff; the two lines of names at its begin are left out. @param {{lines: string[], label: string}} props */
export function Diff({ lines, label }) {
  const shown = lines[0]?.startsWith("--- ") && lines[1]?.startsWith("+++ ") ? lines.slice(2) : lines;
  if (!shown.length) return html`<p class="quiet">${t("policy.diff.none")}</p>`;
  return html`<pre class="diff" tabindex="0" role="region" aria-label=${label}>${shown.map(
    (line) => html`<span class=${KINDS[/** @type {keyof typeof KINDS} */ (line[0])] ?? ""}>${line}${"\n"}</span>`,
  )}</pre>`;
}
