// The board's keys. They rest while somebody types, while a dialog is open, and for who has switched them off.
import { html, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { Dialog } from "../../parts/dialog.js";
import { t } from "../../words/index.js";

const OFF = "headgate.keys";
/** In the order in which they are shown. */
export const KEYS = ["j", "k", "Enter", "x", "a", "s", "c", "/", "Escape", "?"];

export const keysOn = () => localStorage.getItem(OFF) !== "off";

const HANGUL = /^[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]$/;
/** @type {Record<string, string>} */
const ARROWS = { ArrowDown: "j", ArrowUp: "k" };

/** Which of the keys was pressed. Where an input method makes Hangul of letters, or something of its own, the place on the keyboard tells.
 * @param {KeyboardEvent} event */
export function keyOf(event) {
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
  if (letter && (event.isComposing || event.key === "Process" || HANGUL.test(event.key))) return event.shiftKey ? letter : letter.toLowerCase();
  return ARROWS[event.key] ?? event.key;
}

/** @param {Record<string, () => void>} deeds by key */
export function useKeys(deeds) {
  const latest = useRef(deeds);
  latest.current = deeds;
  useLayoutEffect(() => { // with the rows, not after them: who types at once is heard
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || !keysOn() || document.querySelector("dialog[open]")) return;
      if (target.matches("input, textarea, select, [contenteditable]")) {
        if (event.key === "Escape") target.blur();
        return;
      }
      // Enter on a button or link is theirs.
      if (event.key === "Enter" && target.matches("button, a")) return;
      const deed = latest.current[keyOf(event)];
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
