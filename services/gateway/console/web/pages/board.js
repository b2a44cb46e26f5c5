// The board: what must be done, by whom, until when. As a table, in columns, on the calendar; by mouse, keys or both.
import { html, useCallback, useMemo, useRef, useState } from "../vendor/preact.js";
import { sited, useAsked } from "../api/asking.js";
import { may, reader } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { Empty, Refused, Shown } from "../parts/states.js";
import { useNow } from "../parts/when.js";
import { useQueryValue } from "../router.js";
import { number, t, word } from "../words/index.js";
import { Assign, BulkResult } from "./board/asking.js";
import { Calendar } from "./board/calendar.js";
import { Columns, byStatus } from "./board/columns.js";
import { Drawer } from "./board/drawer.js";
import { isLate, select, useItems } from "./board/items.js";
import { KeysHelp, useKeys } from "./board/keys.js";
import { STATUSES, Table } from "./board/table.js";

const VIEWS = ["table", "columns", "calendar"];

export default function Board() {
  const gates = useAsked("/api/gates");
  const [gate, setGate] = useQueryValue("gate", "operations");
  const [all, setAll] = useQueryValue("all");
  const [openId, setOpenId] = useQueryValue("item");
  const items = useItems(gate, all === "1", openId);
  const csv = sited("/api/ops/governance/gate/remediation/csv");
  const side = html`<label>${t("board.gate")} <select value=${gate} onChange=${(/** @type {any} */ event) => setGate(event.target.value)}>
      ${[...new Set([gate, ...(gates.data ?? []).map((/** @type {any} */ one) => one.gate)])].sort().map((one) => html`<option value=${one} selected=${one === gate}>${one}</option>`)}</select></label>
    <label><input type="checkbox" checked=${all === "1"} onChange=${(/** @type {any} */ event) => setAll(event.target.checked ? "1" : "")} /> ${t("board.resolved-too")}</label>
    ${gate === "operations" && html`<a class="button" href=${csv} download>CSV</a>`}`;
  return html`<${Title} side=${side}>${t("board.title")}<//>
    <${Shown} asked=${items.asked}>${(/** @type {any} */ found) => html`<${Loaded} ...${{ ...items, all: all === "1", openId, setOpenId }} items=${found.items} truncated=${found.truncated} />`}<//>`;
}

/** The filters, which all stand in the address. */
function useWanted() {
  const [text, setText] = useQueryValue("q");
  const [status, setStatus] = useQueryValue("status");
  const [assignee, setAssignee] = useQueryValue("assignee");
  const [late, setLate] = useQueryValue("late");
  const [label, setLabel] = useQueryValue("label");
  const [day, setDay] = useQueryValue("day");
  const [sort, setSort] = useQueryValue("sort", "priority");
  return { wanted: { text, status, assignee, late, label, day, sort }, setText, setStatus, setAssignee, setLate, setLabel, setDay, setSort };
}

/** @param {any} props */
function Loaded({ items: known, all, truncated, open, openId, setOpenId, missing, change, changeMany, place }) {
  const [view, setView] = useQueryValue("view", "table");
  const filters = useWanted();
  const { wanted } = filters;
  const now = useNow();
  const [at, setAt] = useState({ id: -1, index: 0 }); // what is under the keys, and where it was last
  const [chosen, setChosen] = useState(() => new Set());
  const [assigning, setAssigning] = useState(/** @type {any[]|null} */ (null));
  const [result, setResult] = useState(/** @type {any} */ (null));
  const [help, setHelp] = useState(false);
  const me = reader()?.username ?? "";
  const writes = may("remediation:write");
  // What is resolved goes, but not from under somebody's hands.
  const items = useMemo(() => (all ? known : known.filter((/** @type {any} */ one) => one.is_active || one.id === at.id || String(one.id) === openId)), [known, all, at.id, openId]);
  const shown = useMemo(() => {
    const found = select(items, wanted, me, now);
    return wanted.day ? found.filter((one) => one.due_at && new Date(one.due_at).toLocaleDateString("sv") === wanted.day) : found;
  }, [items, now, me, ...Object.values(wanted)]);
  const drawn = view === "columns" ? byStatus(shown).flat() : view === "calendar" ? [] : shown;
  const toggle = useCallback((/** @type {any} */ item) => setChosen((before) => {
    const next = new Set(before);
    if (!next.delete(item.id)) next.add(item.id);
    return next;
  }), []);
  const selection = items.filter((/** @type {any} */ one) => chosen.has(one.id));
  const many = async (/** @type {any} */ fields) => {
    const done = await changeMany(selection, fields);
    if (done === null) return;
    setChosen(new Set());
    setResult(done);
  };
  useBoardKeys({ drawn, at, setAt, setChosen, toggle, setOpenId, setAssigning, selection, setHelp, writes });
  const assigned = async (/** @type {string|null} */ assignee) => {
    const whom = assigning ?? [];
    setAssigning(null);
    if (whom.length === 1) await change(whom[0], { assignee });
    else await many({ assignee });
  };
  return html`
    ${truncated && html`<p class="stale">${t("board.too-many")}</p>`}
    <${Figures} items=${items} now=${now} />
    <${Filters} ...${filters} view=${view} setView=${setView} help=${() => setHelp(true)} labels=${[...new Set(items.flatMap((/** @type {any} */ one) => one.labels))].sort()} />
    ${selection.length > 0 && html`<${Bulk} count=${selection.length} many=${many} assign=${() => setAssigning(selection)} clear=${() => setChosen(new Set())} />`}
    ${!shown.length
      ? html`<${Empty} title=${t(items.length ? "board.none-found" : "board.empty")} />`
      : view === "columns"
        ? html`<${Columns} items=${shown} at=${at.id} chosen=${chosen} writes=${writes} toggle=${toggle} open=${(/** @type {any} */ one) => setOpenId(String(one.id))} setStatus=${(/** @type {any} */ one, /** @type {string} */ status) => change(one, { status })} />`
        : view === "calendar"
          ? html`<${Calendar} items=${shown} open=${(/** @type {any} */ one) => setOpenId(String(one.id))} pickDay=${(/** @type {string} */ day) => { filters.setDay(day); setView("table"); }} />`
          : html`<${Table} items=${shown} at=${shown.findIndex((/** @type {any} */ one) => one.id === at.id)} chosen=${chosen} writes=${writes} pick=${(/** @type {any} */ one, /** @type {number} */ index) => setAt({ id: one.id, index })} open=${(/** @type {any} */ one) => setOpenId(String(one.id))} toggle=${toggle}
              setStatus=${(/** @type {any} */ one, /** @type {string} */ status) => change(one, { status })} assign=${(/** @type {any} */ one) => setAssigning([one])} />`}
    ${missing && html`<${Refused} problem=${missing} />`}
    ${open && html`<${Drawer} key=${open.id} item=${open} close=${() => setOpenId("")} place=${place} assign=${(/** @type {any} */ one) => setAssigning([one])} />`}
    ${assigning && html`<${Assign} items=${assigning} me=${me} close=${() => setAssigning(null)} done=${assigned} />`}
    ${result && html`<${BulkResult} result=${result} close=${() => setResult(null)} />`}
    ${help && html`<${KeysHelp} close=${() => setHelp(false)} />`}`;
}

/** `drawn`: the items that keys can be at, in the order in which they are drawn. @param {any} props */
function useBoardKeys({ drawn, at, setAt, setChosen, toggle, setOpenId, setAssigning, selection, setHelp, writes }) {
  const focus = (/** @type {string} */ selector) => /** @type {HTMLElement|null} */ (document.querySelector(selector))?.focus();
  // Who types fast is ahead of what is drawn: where the keys are is known at once.
  const now = useRef(at);
  now.current = at;
  const place = () => drawn.findIndex((/** @type {any} */ one) => one.id === now.current.id);
  const move = (/** @type {number} */ by) => {
    // What went from under the keys is what they do nothing to; the next one is where it was.
    const to = place() < 0 ? now.current.index - (by < 0 ? 1 : 0) : place() + by;
    const index = Math.max(0, Math.min(to, drawn.length - 1));
    now.current = { id: drawn[index].id, index };
    setAt(now.current);
  };
  const withCurrent = (/** @type {(item: any) => void} */ deed) => () => drawn[place()] && deed(drawn[place()]);
  useKeys({
    ...(drawn.length > 0 && {
      j: () => move(1),
      k: () => move(-1),
      Enter: withCurrent((item) => setOpenId(String(item.id))),
      x: withCurrent((item) => writes && toggle(item)),
      s: withCurrent((item) => focus(`#item-${item.id} select`)),
      c: withCurrent((item) => {
        setOpenId(String(item.id));
        setTimeout(() => focus("dialog.drawer textarea[name=text]"), 100);
      }),
    }),
    a: () => writes && (selection.length ? setAssigning(selection) : withCurrent((item) => item.is_active && setAssigning([item]))()),
    "/": () => focus("#board-search"),
    "?": () => setHelp(true),
    Escape: () => setChosen(new Set()),
  });
}

/** @param {{items: any[], now: number}} props */
function Figures({ items, now }) {
  const active = items.filter((one) => one.is_active);
  const figures = [
    ["board.active", active.length],
    ["board.late", active.filter((one) => isLate(one, now)).length],
    ["board.unassigned", active.filter((one) => one.assignee === null).length],
    ["board.blocked", active.filter((one) => one.status === "blocked").length],
  ];
  return html`<dl class="figures">${figures.map(([key, count]) => html`<div><dt>${t(String(key))}</dt><dd>${number(Number(count))}</dd></div>`)}</dl>`;
}

/** @param {any} props */
function Filters({ wanted, setText, setStatus, setAssignee, setLate, setLabel, setDay, setSort, view, setView, help, labels }) {
  const value = (/** @type {any} */ event) => event.target.value;
  return html`<form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <label>${t("search")}<br /><input id="board-search" type="search" value=${wanted.text} onInput=${(/** @type {any} */ event) => setText(value(event))} /></label>
    <label>${t("board.status")}<br /><select value=${wanted.status} onChange=${(/** @type {any} */ event) => setStatus(value(event))}><option value="">${t("all")}</option>${STATUSES.map((one) => html`<option value=${one} selected=${one === wanted.status}>${word("item", one)}</option>`)}</select></label>
    <label>${t("board.assignee")}<br /><select value=${wanted.assignee} onChange=${(/** @type {any} */ event) => setAssignee(value(event))}>${[["", t("all")], ["me", t("board.me")], ["none", t("board.nobody")], ...(["", "me", "none"].includes(wanted.assignee) ? [] : [[wanted.assignee, wanted.assignee]])].map(([one, text]) => html`<option value=${one} selected=${one === wanted.assignee}>${text}</option>`)}</select></label>
    ${(labels.length > 0 || wanted.label) && html`<label>${t("board.label")}<br /><select value=${wanted.label} onChange=${(/** @type {any} */ event) => setLabel(value(event))}><option value="">${t("all")}</option>${[...new Set([...labels, ...(wanted.label ? [wanted.label] : [])])].map((/** @type {string} */ one) => html`<option value=${one} selected=${one === wanted.label}>${one}</option>`)}</select></label>`}
    <label>${t("board.sort")}<br /><select value=${wanted.sort} onChange=${(/** @type {any} */ event) => setSort(value(event))}>${["priority", "due", "updated"].map((one) => html`<option value=${one} selected=${one === wanted.sort}>${t(`board.sort.${one}`)}</option>`)}</select></label>
    <label><input type="checkbox" checked=${wanted.late === "1"} onChange=${(/** @type {any} */ event) => setLate(event.target.checked ? "1" : "")} /> ${t("board.only-late")}</label>
    ${wanted.day && html`<button type="button" onClick=${() => setDay("")}>${wanted.day} ✕</button>`}
    <span role="group" aria-label=${t("board.view")}>${VIEWS.map((one) => html`<button type="button" class="plain" aria-pressed=${view === one} onClick=${() => setView(one)}>${t(`board.view.${one}`)}</button>`)}</span>
    <button type="button" class="plain" onClick=${help}>${t("keys.title")}</button>
  </form>`;
}

/** @param {{count: number, many: (fields: any) => void, assign: () => void, clear: () => void}} props */
function Bulk({ count, many, assign, clear }) {
  return html`<div class="bar bulk" role="region" aria-label=${t("board.bulk")}>
    <strong role="status">${t("board.chosen-count", { count })}</strong>
    <button type="button" onClick=${assign}>${t("board.assign")}</button>
    ${STATUSES.map((status) => html`<button type="button" onClick=${() => many({ status })}>${word("item", status)}</button>`)}
    <button type="button" class="plain" onClick=${clear}>${t("cancel")}</button>
  </div>`;
}

