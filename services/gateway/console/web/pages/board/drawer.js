// One item, whole: what failed and why, who does it until when, who was told, what was said, what happened.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { askAllPages, useAsked, useOrder } from "../../api/asking.js";
import { may, reader } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Refused, Shown } from "../../parts/states.js";
import { Due, When, local } from "../../parts/when.js";
import { BASE as CONSOLE } from "../../router.js";
import { t, word } from "../../words/index.js";
import { Escalation } from "./escalation.js";
import { about, ofItem } from "./items.js";
import { StatusOf } from "./table.js";

/** @param {{item: any, close: () => void, place: (item: any) => void, assign: (item: any) => void}} props */
export function Drawer({ item, close, place, assign }) {
  const writes = may("remediation:write") && item.is_active;
  return html`<${Dialog} side title="#${item.id} ${item.rule_id}" close=${close}>
    <p>${item.reason}</p>
    <dl class="facts">
      <dt>${t("board.status")}</dt><dd><${StatusOf} item=${item} />${item.completion_checked && !item.verified_at && html` <${Chip} kind="info">${t("board.claimed")}<//>`}</dd>
      <dt>${t("board.gate")}</dt><dd><a href=${CONSOLE + path`/gates/${item.gate}/runs/${item.gate_run_id}`}>${item.gate}${item.subject && ` · ${item.subject} ${item.version}`}</a></dd>
      <dt>${t("board.action")}</dt><dd>${item.action || "–"}</dd>
      <dt>${t("board.assignee")}</dt><dd>${item.assignee ?? t("board.nobody")} ${writes && html`<button type="button" class="plain" onClick=${() => assign(item)}>${t("board.assign")}</button>`}</dd>
      <dt>${t("board.owner")}</dt><dd>${item.owner_role || "–"}</dd>
      <dt>${t("board.due")}</dt><dd><${Due} at=${item.due_at} done=${!item.is_active} /> ${item.due_at && html`<span class="quiet">${local(item.due_at)}</span>`}${item.due_by_hand && html` <span class="quiet">${t("board.due-by-hand", { reason: item.due_reason })}</span>`}</dd>
      <dt>${t("board.opened")}</dt><dd><${When} at=${item.opened_at} how="both" /></dd>
      <dt>${t("board.labels")}</dt><dd><${Labels} item=${item} writes=${writes} place=${place} /></dd>
      ${item.completion_note && html`<dt>${t("board.note")}</dt><dd>${item.completion_note}</dd>`}
    </dl>
    ${writes && html`<${Hands} item=${item} place=${place} />`}
    <${Escalation} item=${item} />
    <${Comments} item=${item} />
    <${Links} item=${item} />
    <${History} item=${item} />
  <//>`;
}

/** Taking, giving back, pausing, claiming: what the API would take of the item as it is. @param {{item: any, place: (item: any) => void}} props */
function Hands({ item, place }) {
  const { busy, problem, run } = useOrder();
  const [asks, setAsks] = useState("");
  const mine = item.assignee === reader()?.username;
  const isDone = item.status === "done";
  const deed = (/** @type {string} */ what, /** @type {any} */ body = {}) => run(() => order("POST", ofItem(item.id, what), body, { ifMatch: item.revision })).then((done) => done && place(done));
  const reasoned = async (/** @type {Record<string, string>} */ said) => {
    if (asks === "claim") {
      place(await order("PATCH", ofItem(item.id), { status: "done", completion_checked: true, completion_note: said.reason }, { ifMatch: item.revision, key: said._key }));
    } else place(await order("POST", ofItem(item.id, asks), asks === "hand-over" ? { to: said.to, reason: said.reason } : { reason: said.reason }, { ifMatch: item.revision, key: said._key }));
  };
  return html`<div class="bar">
    ${item.assignee === null && !isDone && html`<button type="button" disabled=${busy} onClick=${() => deed("take")}>${t("board.take")}</button>`}
    ${mine && !isDone && html`<button type="button" onClick=${() => setAsks("hand-over")}>${t("board.hand-over")}</button>
      <button type="button" onClick=${() => setAsks("release")}>${t("board.release")}</button>`}
    ${item.paused_at ? html`<button type="button" disabled=${busy} onClick=${() => deed("resume")}>${t("board.resume")}</button>` : html`<button type="button" onClick=${() => setAsks("pause")}>${t("board.pause")}</button>`}
    ${!isDone && html`<button type="button" onClick=${() => setAsks("claim")}>${t("board.claim")}</button>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    ${asks && html`<${Dialog} title=${t(`board.${asks}`)} close=${() => setAsks("")}>
      <${Form} deed=${reasoned} done=${() => setAsks("")} submit=${t(`board.${asks}`)} cancel=${() => setAsks("")}>
        ${asks === "hand-over" && html`<${Field} name="to" label=${t("board.to")} required />`}
        <${Field} name="reason" label=${t(asks === "claim" ? "board.note" : "reason")} rows="2" required=${asks !== "release"} />
      <//><//>`}
  </div>`;
}

/** @param {{item: any, writes: boolean, place: (item: any) => void}} props */
function Labels({ item, writes, place }) {
  const { problem, run } = useOrder();
  const change = (/** @type {any} */ fields) => run(() => order("PATCH", ofItem(item.id), fields, { ifMatch: item.revision })).then((done) => done && place(done));
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const label = String(new FormData(form).get("label")).trim();
    if (!label) return;
    form.reset();
    void change({ add_labels: [label] });
  };
  return html`${item.labels.map((/** @type {string} */ label) => html`<span class="chip">${label}${writes && html`<button type="button" class="plain" aria-label=${t("board.label-off", { label })} onClick=${() => change({ remove_labels: [label] })}>✕</button>`}</span> `)}
    ${writes && html`<form class="inline" onSubmit=${add}><label class="hidden" for="label-of-${item.id}">${t("board.label-add")}</label><input id="label-of-${item.id}" name="label" maxlength="50" placeholder=${t("board.label-add")} /></form>`}${problem && html`<${Refused} problem=${problem} inline />`}`;
}

/** @param {{item: any}} props */
function Comments({ item }) {
  const asked = useAsked(ofItem(item.id, "comments"), { on: ["tracker.comment."], of: about(item.id), ask: askAllPages });
  const add = (/** @type {Record<string, string>} */ said) => order("POST", ofItem(item.id, "comments"), { text: said.text }, { key: said._key });
  const withdraw = useOrder();
  const [key, setKey] = useState(0);
  const added = () => {
    setKey(key + 1);
    asked.reload();
  };
  return html`<section><h3>${t("board.comments")}</h3>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<ul class="changes">${found.items.map((/** @type {any} */ one) => html`<li key=${one.id}><strong>${one.author}</strong> <${When} at=${one.at} />
      ${one.text !== null && (one.author === reader()?.username || may("remediation:complete")) && html`<button type="button" class="plain" disabled=${withdraw.busy} onClick=${() => withdraw.run(() => order("DELETE", ofItem(item.id, `comments/${one.id}`))).then(asked.reload)}>${t("board.withdraw")}</button>`}
      <p class="said">${one.text ?? t("board.withdrawn", { who: one.withdrawn_by })}</p></li>`)}</ul>
      ${!found.items.length && html`<p class="quiet">${t("board.no-comments")}</p>`}`}<//>
    ${withdraw.problem && html`<${Refused} problem=${withdraw.problem} inline />`}
    ${may("remediation:write") && html`<${Form} key=${key} deed=${add} done=${added} submit=${t("board.comment")}><${Field} name="text" label=${t("board.comment-text")} rows="2" required /><//>`}
  </section>`;
}

/** @param {{item: any}} props */
function Links({ item }) {
  const asked = useAsked(ofItem(item.id, "links"), { on: ["tracker.link."], of: about(item.id) });
  const [adding, setAdding] = useState(false);
  const add = (/** @type {Record<string, string>} */ said) => order("POST", ofItem(item.id, "links"), { title: said.title, url: said.url }, { key: said._key });
  const added = () => {
    setAdding(false);
    asked.reload();
    say(t("done"));
  };
  // Only what a browser may follow without running anything; the API refuses all else, and so does this.
  const safe = (/** @type {string} */ url) => /^https?:\/\//i.test(url);
  return html`<section><h3>${t("board.links")}</h3>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<ul>${(found.items ?? found).map((/** @type {any} */ one) => html`<li key=${one.id}>${safe(one.url) ? html`<a href=${one.url} rel="noopener noreferrer" target="_blank">${one.title}</a>` : one.title} <span class="quiet">${one.added_by}</span></li>`)}</ul>`}<//>
    ${may("remediation:write") && (adding
      ? html`<${Form} deed=${add} done=${added} submit=${t("save")} cancel=${() => setAdding(false)}><${Field} name="title" label=${t("board.link-title")} required /><${Field} name="url" type="url" label=${t("board.link-url")} required /><//>`
      : html`<button type="button" onClick=${() => setAdding(true)}>${t("board.link-add")}</button>`)}
  </section>`;
}

/** @param {{item: any}} props */
function History({ item }) {
  const asked = useAsked(ofItem(item.id, "history"), { on: ["tracker.item."], of: about(item.id), ask: askAllPages });
  const shown = (/** @type {any} */ value) => (value === null || value === undefined || value === "" ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return html`<section><h3>${t("board.history")}</h3><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<ol class="changes">${found.items.map((/** @type {any} */ one) => html`<li key=${one.id}>
    <strong>${one.actor}</strong> ${word("history", one.kind)} <${When} at=${one.at} how="both" />
    ${one.kind !== "opened" && html`<ul class="quiet">${one.changed.map((/** @type {string} */ name) => html`<li>${word("field", name)}: ${shown(one.before[name])} → ${shown(one.after[name])}</li>`)}</ul>`}
  </li>`)}</ol>`}<//></section>`;
}
