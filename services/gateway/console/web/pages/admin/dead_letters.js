// Messages that a service could not apply: look at them, apply them now, or give them up.
import { html, useEffect, useMemo, useState } from "../../vendor/preact.js";
import { address, get, order, path } from "../../api/client.js";
import { askAllPages, useAsked } from "../../api/asking.js";
import { mayAll } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Chip } from "../../parts/marks.js";
import { Refused, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { useQueryValue } from "../../router.js";
import { t, word } from "../../words/index.js";
import { Rows, Section, useDeeds } from "./parts.js";

const SERVICES = ["gateway", "governance", "tracker", "audit", "metrics", "notifier", "operations"];
const KINDS = { held: "warn", waiting: "none", replayed: "good", dropped: "none" };

/** All services at once; one that is away is named, the others are shown.
 * @param {string} query @param {AbortSignal} signal */
async function askAll(query, signal) {
  const answers = await Promise.allSettled(SERVICES.map((one) => askAllPages(`/api/dead-letters/${one}${query}`, signal)));
  const items = answers.flatMap((answer, place) => (answer.status === "fulfilled" ? answer.value.items.map((/** @type {any} */ letter) => ({ ...letter, service: SERVICES[place] })) : []));
  const away = SERVICES.filter((_, place) => answers[place].status === "rejected");
  if (away.length === SERVICES.length) throw /** @type {PromiseRejectedResult} */ (answers[0]).reason;
  return { items: items.sort((one, other) => Date.parse(other.buried_at) - Date.parse(one.buried_at)), away };
}

export default function DeadLetters() {
  const [state, setState] = useQueryValue("state", "held");
  const [service, setService] = useQueryValue("service");
  const query = address("", { state, limit: 200 });
  const asked = useAsked(query, { on: SERVICES.map((one) => `${one}.deadletter.`), ask: askAll });
  const pick = (/** @type {(value: string) => void} */ set) => (/** @type {any} */ event) => set(event.target.value);
  return html`<${Section} title=${t("admin.dead-letters")}>
    <form class="bar" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>${t("admin.state")}<br /><select value=${state} onChange=${pick(setState)}>${Object.keys(KINDS).map((one) => html`<option value=${one} selected=${one === state}>${word("admin.letter", one)}</option>`)}</select></label>
      <label>${t("admin.letter.service")}<br /><select value=${service} onChange=${pick(setService)}><option value="">${t("all")}</option>${SERVICES.map((one) => html`<option value=${one} selected=${one === service}>${one}</option>`)}</select></label>
    </form>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
      ${found.away.length > 0 && html`<p class="stale" role="status">${t("admin.letters.away", { services: found.away.join(", ") })}</p>`}
      <${Letters} letters=${found.items.filter((/** @type {any} */ one) => !service || one.service === service)} state=${state} reload=${asked.reload} />`}<//><//>`;
}

const keyOf = (/** @type {any} */ one) => `${one.service}.${one.letter_id}`;
const at = (/** @type {any} */ one, rest = "") => path`/api/dead-letters/${one.service}/${one.letter_id}` + rest;

/** @param {any} one @returns {import("./parts.js").Deed} */
const dropping = (one) => ({
  title: t("admin.letter.drop", { id: keyOf(one) }), why: t("admin.letter.drop.why"), danger: true, submit: t("admin.letter.drop.go"),
  run: ({ _key }) => order("DELETE", at(one), undefined, { key: _key }),
});

/** @param {any} one @returns {import("./parts.js").Deed} */
const replaying = (one) => ({
  title: t("admin.letter.replay", { id: keyOf(one) }), why: t("admin.letter.replay.why"), submit: t("admin.letter.replay.go"),
  run: ({ _key }) => order("POST", at(one, "/replay"), {}, { key: _key }),
});

/** @param {{letters: any[], state: string, reload: () => void}} props */
function Letters({ letters, state, reload }) {
  const { ask, dialog } = useDeeds(reload);
  const [shown, setShown] = useState(/** @type {any} */ (null));
  const [many, setMany] = useState(/** @type {any[]|null} */ (null));
  const write = mayAll("deadletter:write") && state === "held";
  const deeds = (/** @type {any} */ one) => html`<span class="row-deeds"><button type="button" onClick=${() => setShown(one)} aria-label=${t("admin.letter.show", { id: keyOf(one) })}>${t("admin.letter.show.go")}</button>
    ${write && html`<button type="button" aria-label=${t("admin.letter.replay", { id: keyOf(one) })} onClick=${() => ask(replaying(one))}>${t("admin.letter.replay.go")}</button>
      <button type="button" class="danger" aria-label=${t("admin.letter.drop", { id: keyOf(one) })} onClick=${() => ask(dropping(one))}>${t("admin.letter.drop.go")}</button>`}</span>`;
  return html`${write && letters.length > 1 && html`<p><button type="button" onClick=${() => setMany(letters)}>${t("admin.letters.replay-all", { count: letters.length })}</button></p>`}
    <${Rows} rows=${letters} keyOf=${keyOf} empty=${t(state === "held" ? "admin.letters.none" : "admin.none-found")} label=${t("admin.dead-letters")} columns=${[
      [t("admin.letter"), (/** @type {any} */ one) => html`${keyOf(one)}<br /><span class="quiet">${one.consumer}</span>`],
      [t("admin.letter.message"), (/** @type {any} */ one) => html`${one.message_type}<br /><span class="quiet">${one.site} ${one.subject}</span>`],
      [t("admin.letter.reason"), (/** @type {any} */ one) => one.reason],
      [t("admin.letter.buried"), (/** @type {any} */ one) => html`<${When} at=${one.buried_at} /><br /><span class="quiet">${t("admin.letter.attempts", { count: one.attempts })}</span>`],
      [t("admin.state"), (/** @type {any} */ one) => html`<${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (one.state)] ?? "none"}>${word("admin.letter", one.state)}<//> <span class="quiet">${one.decided_by ?? ""}</span>`],
      [t("admin.deeds"), deeds],
    ]} />
    ${dialog}
    ${shown && html`<${Letter} letter=${shown} close=${() => setShown(null)} />`}
    ${many && html`<${ReplayMany} letters=${many} close=${() => { setMany(null); reload(); }} />`}`;
}

/** A letter with its bytes. @param {{letter: any, close: () => void}} props */
function Letter({ letter, close }) {
  const asked = useAsked(at(letter));
  return html`<${Dialog} title=${t("admin.letter.show", { id: keyOf(letter) })} close=${close} side>
    <${Shown} asked=${asked}>${(/** @type {any} */ one) => html`<dl class="facts">
      <dt>${t("admin.letter.message")}</dt><dd>${one.message_type} <span class="mono quiet">${one.message_id}</span></dd>
      <dt>${t("admin.letter.reason")}</dt><dd>${one.reason}</dd>
      <dt>${t("admin.letter.buried")}</dt><dd><${When} at=${one.buried_at} how="both" /></dd>
      ${one.decided_at && html`<dt>${word("admin.letter", one.state)}</dt><dd>${one.decided_by} <${When} at=${one.decided_at} how="both" /></dd>`}
    </dl><h3>${t("admin.letter.bytes")}</h3><pre tabindex="0">${readable(one.payload)}</pre>`}<//><//>`;
}

/** JSON in lines, anything else as it is. @param {string|null} payload */
function readable(payload) {
  try {
    return JSON.stringify(JSON.parse(payload ?? ""), null, 2);
  } catch {
    return payload ?? "–";
  }
}

/** Many in turn, the oldest first, since later ones may rest on them; it ends at the first that is refused.
 * @param {{letters: any[], close: () => void}} props */
function ReplayMany({ letters, close }) {
  const oldest = useMemo(() => letters.toReversed(), [letters]);
  const [done, setDone] = useState(0);
  const [state, setState] = useState(/** @type {{running: boolean, problem: any}} */ ({ running: false, problem: null }));
  const [stop] = useState({ asked: false });
  useEffect(() => () => {
    stop.asked = true; // who leaves the page replays no more
  }, []);
  const run = async () => {
    stop.asked = false;
    setState({ running: true, problem: null });
    let problem = null;
    for (let place = done; place < oldest.length && !stop.asked && !problem; place += 1) {
      try {
        const now = await get(at(oldest[place])); // somebody else may have decided meanwhile
        if (now.state === "held") await order("POST", at(oldest[place], "/replay"), {});
        setDone(place + 1);
      } catch (error) {
        problem = error;
      }
    }
    setState({ running: false, problem });
  };
  const end = () => {
    stop.asked = true;
    close();
  };
  return html`<${Dialog} title=${t("admin.letters.replay-all", { count: letters.length })} close=${end}>
    <p>${t("admin.letters.replay-all.why")}</p>
    <p role="status"><progress max=${oldest.length} value=${done} aria-label=${t("admin.letters.progress", { done, count: oldest.length })}></progress> ${t("admin.letters.progress", { done, count: oldest.length })}</p>
    ${state.problem && html`<p><strong>${keyOf(oldest[done])}</strong></p><${Refused} problem=${state.problem} inline />`}
    <div class="form-buttons">${done < oldest.length && html`<button type="button" class="primary" disabled=${state.running} onClick=${run}>${t("admin.letter.replay.go")}</button>`}
      <button type="button" onClick=${end}>${t("close")}</button></div><//>`;
}
