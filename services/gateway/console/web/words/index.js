// Words in the reader's language. A catalogue per page and language; tests/unit/gateway/test_console_words.py compares them.

export const LANGUAGES = /** @type {const} */ ({ en: "English", ko: "한국어" });
const KEY = "headgate.language";
/** @type {Record<string, string>} */
let words = {};
/** @type {keyof typeof LANGUAGES} */
let language = "en";
/** @type {Intl.PluralRules} */
let plurals = new Intl.PluralRules("en");

/** Load the catalogue of the language that was chosen, else of the browser's. */
export async function loadWords() {
  const asked = [localStorage.getItem(KEY), ...navigator.languages].map((one) => (one ?? "").slice(0, 2).toLowerCase());
  language = /** @type {any} */ (asked.find((one) => one in LANGUAGES) ?? "en");
  words = (await (language === "ko" ? import("./ko/index.js") : import("./en/index.js"))).default;
  plurals = new Intl.PluralRules(language);
  document.documentElement.lang = language;
}

/** @param {keyof typeof LANGUAGES} next */
export async function chooseLanguage(next) {
  localStorage.setItem(KEY, next);
  await loadWords().catch(() => window.location.reload()); // after an upgrade its file has another name
}

export const languageNow = () => language;

/** A text by its key, with `{names}` filled in. Where a text counts, `key.one` and `key.other` stand for it, by `count`.
 * @param {string} key @param {Record<string, string|number>} [values] @returns {string} */
export function t(key, values = {}) {
  const text = words[key] ?? ("count" in values ? (words[`${key}.${plurals.select(Number(values.count))}`] ?? words[`${key}.other`]) : undefined);
  if (text === undefined) {
    console.error(`no words for ${key}`);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

/** A text for a value that the API may extend, such as a status: its word, else the value itself.
 * @param {string} key @param {string} value */
export const word = (key, value) => words[`${key}.${value}`] ?? value;

/** @param {string|number} value */
const shown = (value) => (typeof value === "number" ? number(value) : value);

/** Makers of numbers are dear to make. @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/** @param {number} value @param {Intl.NumberFormatOptions} [how] */
export function number(value, how) {
  const key = language + (how ? JSON.stringify(how) : "");
  const known = formats.get(key) ?? new Intl.NumberFormat(language, how);
  formats.set(key, known);
  return known.format(value);
}
