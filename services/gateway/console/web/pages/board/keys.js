// The board's keys. They rest while somebody types, while a dialog is open, and for who has switched them off.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Dialog } from "../../parts/dialog.js";
import { t } from "../../words/index.js";

const OFF = "headgate.keys";
/** In the order in which they are shown. */
export const KEYS = ["j", "k", "Enter", "x", "a", "s", "c", "/", "Escape", "?"];

export const keysOn = () => localStorage.getItem(OFF) !== "off";

/** @param {Record<string, () => void>} deeds by key */
export function useKeys(deeds) {
  const latest = useRef(deeds);
  latest.current = deeds;
  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || !keysOn() || document.querySelector("dialog[open]")) return;
      if (target.matches("input, textarea, select, [contenteditable]")) {
        if (event.key === "Escape") target.blur();
        return;
      }
      // Enter on a button or link is theirs.
      if (event.key === "Enter" && target.matches("button, a")) return;
      const key = event.key === "ArrowDown" ? "j" : event.key === "ArrowUp" ? "k" : event.key;
      const deed = latest.current[key];
      if (!deed) return;
      event.preventDefault();
      deed();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

/** @param {{close: () => void}} props */
export function KeysHelp({ close }) {
  const [on, setOn] = useState(keysOn);
  const change = (/** @type {boolean} */ next) => {
    localStorage.setItem(OFF, next ? "on" : "off");
    setOn(next);
  };
  return html`<${Dialog} title=${t("keys.title")} close=${close}>
    <dl class="facts">${KEYS.map((key) => html`<dt><kbd>${key}</kbd></dt><dd>${t(`keys.${key}`)}</dd>`)}</dl>
    <p><label><input type="checkbox" checked=${on} onChange=${(/** @type {any} */ event) => change(event.target.checked)} /> ${t("keys.on")}</label></p>
  <//>`;
}
