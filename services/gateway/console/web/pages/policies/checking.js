// Where in a text a sentence of the API belongs, and how its tests came out.

/** @typedef {{line: number, severity: "error"|"warning", message: string}} Mark */

/** The line (from 1) that a sentence is about: it names one, or a rule or test by its name.
 * @param {string[]} lines @param {string} sentence */
export function lineOf(lines, sentence) {
  const named = /\bline (\d+)/.exec(sentence);
  if (named) return Math.min(Math.max(1, Number(named[1])), Math.max(1, lines.length));
  const test = /: test (.+?): /.exec(sentence);
  const rule = /\brule ([a-z][a-z0-9_]*)/.exec(sentence);
  const at = test ? place(lines, "name", test[1]) : rule ? place(lines, "id", rule[1]) : -1;
  return at + 1 || 1;
}

/** @param {string[]} lines @param {string} key @param {string} value */
const place = (lines, key, value) => lines.findIndex((line) => new RegExp(`^[\\s-]*\\{?\\s*${key}:\\s*(["']?)(.*?)\\1\\s*(?:,.*|#.*)?$`).exec(line)?.[2] === value);

/** @param {string} text @param {string[]} problems @param {string[]} warnings @returns {Mark[]} */
export function marksOf(text, problems, warnings) {
  const lines = text.split("\n");
  return [
    ...problems.map((message) => ({ line: lineOf(lines, message), severity: /** @type {const} */ ("error"), message })),
    ...warnings.map((message) => ({ line: lineOf(lines, message), severity: /** @type {const} */ ("warning"), message })),
  ];
}

/** The tests that a text holds, by their names, and how they came out: null is not known, since reading it failed before.
 * @param {string} text @param {string[]|null} problems of this very text
 * @returns {{name: string, line: number, passed: boolean|null, problems: string[]}[]} */
export function testsOf(text, problems) {
  const lines = text.split("\n");
  const begin = lines.findIndex((line) => /^tests:\s*(#.*)?$/.test(line));
  if (begin < 0) return [];
  const ran = problems !== null && problems.every((one) => /: test .+?: /.test(one) && !/\(line \d+\)/.test(one));
  const found = [];
  let indent = -1;
  for (let at = begin + 1; at < lines.length; at += 1) {
    const line = lines[at];
    if (/^[^\s#-]/.test(line)) break; // the next key of the policy
    const item = /^(\s*)-\s/.exec(line);
    if (item && indent < 0) indent = item[1].length;
    const name = /^(\s*(?:-\s+)?)\{?\s*name:\s*(["']?)(.*?)\2\s*(?:,.*|#.*)?$/.exec(line);
    if (!name || name[1].length !== indent + 2) continue;
    const own = (problems ?? []).filter((one) => one.includes(`: test ${name[3]}: `));
    found.push({ name: name[3], line: at + 1, passed: own.length ? false : ran ? true : null, problems: own });
  }
  return found;
}
