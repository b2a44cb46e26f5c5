// Light, dark, or as the system says.

const KEY = "headgate.theme";
export const THEMES = /** @type {const} */ (["system", "light", "dark"]);

export const themeNow = () => localStorage.getItem(KEY) ?? "system";

/** Put the choice on the page; the style sheet does the rest. */
export function applyTheme() {
  document.documentElement.dataset.theme = themeNow();
}

/** @param {string} theme */
export function chooseTheme(theme) {
  localStorage.setItem(KEY, theme);
  applyTheme();
}
