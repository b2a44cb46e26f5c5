// The editor of a YAML text: CodeMirror in a shadow root, so that its styles are adopted and not inline; a plain field where
// it can't be loaded. The text belongs to who shows it; what is put in anew needs another `key`.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Loading } from "../../parts/states.js";
import { t } from "../../words/index.js";
import { offers } from "./schema.js";

/** @typedef {typeof import("../../vendor/editor.js")} Kit */
/** @typedef {import("./checking.js").Mark} Mark */
/** @typedef {{text: string, change: (text: string) => void, save?: () => void, label: string, marks?: Mark[], schema?: any, readOnly?: boolean, reveal?: {line: number}|null}} EditorProps */

/** @param {EditorProps} props */
export function Editor(props) {
  const [kit, setKit] = useState(/** @type {Kit|null|"failed"} */ (null));
  useEffect(() => {
    import("../../vendor/editor.js").then(setKit, () => setKit("failed"));
  }, []);
  if (kit === null) return html`<${Loading} label=${t("policy.editor.loading")} />`;
  if (kit === "failed") return html`<${Plain} ...${props} />`;
  return html`<${Rich} kit=${kit} ...${props} />`;
}

/** @param {EditorProps} props */
function Plain({ text, change, label, readOnly, save }) {
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "s" || !(event.ctrlKey || event.metaKey) || !save) return;
    event.preventDefault();
    save();
  };
  return html`<p class="hint">${t("policy.editor.plain")}</p>
    <textarea class="mono plain-editor" rows="30" aria-label=${label} readonly=${readOnly} spellcheck=${false} onKeyDown=${keys}
      defaultValue=${text} onInput=${(/** @type {any} */ event) => change(event.target.value)}></textarea>`;
}

/** @param {EditorProps & {kit: Kit}} props */
function Rich(props) {
  const { kit, marks, reveal } = props;
  const place = useRef(/** @type {HTMLDivElement|null} */ (null));
  const view = useRef(/** @type {any} */ (null));
  const now = useRef(props);
  now.current = props;
  useEffect(() => {
    const box = /** @type {HTMLDivElement} */ (place.current);
    const root = box.shadowRoot ?? box.attachShadow({ mode: "open" });
    view.current = new kit.EditorView({ state: kit.EditorState.create({ doc: props.text, extensions: extensions(kit, now) }), parent: root, root });
    return () => view.current.destroy();
  }, [kit]);
  useEffect(() => {
    const doc = view.current.state.doc;
    const found = (marks ?? []).map((one) => {
      const line = doc.line(Math.min(one.line, doc.lines));
      return { from: line.from + (line.text.length - line.text.trimStart().length), to: line.to, severity: one.severity, message: one.message };
    });
    view.current.dispatch(kit.setDiagnostics(view.current.state, found));
  }, [kit, marks]);
  useEffect(() => {
    if (!reveal) return;
    const line = view.current.state.doc.line(Math.min(reveal.line, view.current.state.doc.lines));
    view.current.dispatch({ selection: { anchor: line.from }, effects: kit.EditorView.scrollIntoView(line.from, { y: "center" }) });
    view.current.focus();
  }, [kit, reveal]);
  return html`<div class="editor" ref=${place}></div>`;
}

/** @param {Kit} kit @param {{current: EditorProps}} now */
function extensions(kit, now) {
  const { EditorState, EditorView } = kit;
  const complete = (/** @type {any} */ context) => {
    if (!now.current.schema) return null;
    const line = context.state.doc.lineAt(context.pos);
    const lines = context.state.doc.toString().split("\n");
    const found = offers(now.current.schema, lines, line.number - 1, line.text.slice(0, context.pos - line.from));
    if (!found?.options.length || (!found.back && !context.explicit)) return null;
    return { from: context.pos - found.back, options: found.options, validFor: /^[\w.-]*$/ };
  };
  const order = { key: "Mod-s", preventDefault: true, run: () => (now.current.save?.(), true) };
  return [
    kit.lineNumbers(), kit.history(), kit.drawSelection(), kit.highlightActiveLine(), kit.bracketMatching(), kit.indentOnInput(), kit.yaml(), kit.lintGutter(),
    kit.autocompletion({ override: [complete] }),
    kit.syntaxHighlighting(colours(kit)),
    kit.keymap.of([order, ...kit.completionKeymap, ...kit.defaultKeymap, ...kit.historyKeymap]),
    EditorView.lineWrapping,
    EditorView.theme(LOOK),
    EditorView.contentAttributes.of({ "aria-label": now.current.label, "aria-multiline": "true", spellcheck: "false", tabindex: "0" }),
    EditorState.readOnly.of(Boolean(now.current.readOnly)),
    EditorView.updateListener.of((/** @type {any} */ update) => {
      if (update.docChanged) now.current.change(update.state.doc.toString());
    }),
  ];
}

/** @param {Kit} kit */
function colours({ HighlightStyle, tags }) {
  return HighlightStyle.define([
    { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--link)" },
    { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
    { tag: [tags.comment, tags.lineComment], color: "var(--quiet)", fontStyle: "italic" },
    { tag: [tags.keyword, tags.meta, tags.typeName, tags.labelName], color: "var(--info)" },
    { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--quiet)" },
    { tag: tags.invalid, color: "var(--bad)" },
  ]);
}

const LOOK = {
  "&": { color: "var(--text)", backgroundColor: "var(--panel)", border: "1px solid var(--control)", borderRadius: "var(--radius)", fontSize: "0.9rem" },
  "&.cm-focused": { outline: "3px solid var(--focus)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: 'ui-monospace, "Noto Sans Mono", monospace', minHeight: "22rem", maxHeight: "68vh", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { color: "var(--quiet)", backgroundColor: "var(--raised)", borderRight: "1px solid var(--border)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--raised) 70%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--info-bg)" },
  ".cm-tooltip": { color: "var(--text)", backgroundColor: "var(--panel)", border: "1px solid var(--control)", borderRadius: "0.375rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "0.2rem 0.5rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionInfo": { maxWidth: "22rem", padding: "0.4rem 0.6rem" },
  ".cm-diagnostic": { padding: "0.3rem 0.6rem" },
};
