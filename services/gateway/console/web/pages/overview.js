// One glance: what may go, what may not, what changed. A tile per gate and subject, live.
import { html, useMemo } from "../vendor/preact.js";
import { path } from "../api/client.js";
import { askAllPages, sited, useAsked } from "../api/asking.js";
import { Title } from "../parts/layout.js";
import { Chip, Sparkline, Verdict } from "../parts/marks.js";
import { Empty, Shown } from "../parts/states.js";
import { When, local, relative, useNow } from "../parts/when.js";
import { BASE, useQueryValue } from "../router.js";
import { number, t, word } from "../words/index.js";

const HEARD = ["governance.gate.decided", "governance.gate.revoked", "governance.line."];
const LOOK_MS = 60_000; // a GO may end by the clock alone
const DAY_MS = 86_400_000;
const ORDER = { NO_GO: 0, GO_WITH_WARNINGS: 1, GO: 2 };
const EDGES = { NO_GO: "bad-edge", GO_WITH_WARNINGS: "warn-edge", GO: "good-edge" };

/** Whether somebody may go by it now: a GO may be over although no run has said so. @param {any} one @param {number} now */
const mayGo = (one, now) => one.decision === "go" && one.holds && !(one.valid_until && Date.parse(one.valid_until) <= now);

export default function Overview() {
  const asked = useAsked(sited("/api/verdicts", { limit: 200 }), { on: HEARD, every: LOOK_MS, ask: askAllPages });
  return html`<${Title}>${t("overview.title")}<//><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Tiles} verdicts=${found.items} />`}<//>`;
}

/** @param {{verdicts: any[]}} props */
function Tiles({ verdicts }) {
  const [gate, setGate] = useQueryValue("gate");
  const [verdict, setVerdict] = useQueryValue("verdict");
  const [text, setText] = useQueryValue("q");
  const gates = useMemo(() => [...new Set(verdicts.map((one) => one.gate))].sort(), [verdicts]);
  const shown = useMemo(() => select(verdicts, { gate, verdict, text }), [verdicts, gate, verdict, text]);
  const now = useNow();
  if (!verdicts.length) return html`<${Empty} title=${t("overview.empty")}><p><code>${t("overview.empty.more")}</code></p><//>`;
  const go = shown.filter((one) => mayGo(one, now)).length;
  return html`
    <form class="bar" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>${t("overview.gate")}<br /><select value=${gate} onChange=${(/** @type {any} */ event) => setGate(event.target.value)}>
        <option value="">${t("all")}</option>${gates.map((one) => html`<option value=${one} selected=${one === gate}>${one}</option>`)}</select></label>
      <label>${t("overview.verdict")}<br /><select value=${verdict} onChange=${(/** @type {any} */ event) => setVerdict(event.target.value)}>
        <option value="">${t("all")}</option>${Object.keys(ORDER).map((one) => html`<option value=${one} selected=${one === verdict}>${word("verdict", one)}</option>`)}</select></label>
      <label>${t("overview.find")}<br /><input type="search" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label>
      <p class="counts" role="status">${t("overview.counts", { go, no: shown.length - go })}</p>
    </form>
    ${shown.length ? html`<ul class="tiles">${shown.map((one) => html`<${Tile} key=${keyOf(one)} of=${one} />`)}</ul>` : html`<${Empty} title=${t("overview.none-found")} />`}
    <${Changed} verdicts=${verdicts} />`;
}

const keyOf = (/** @type {any} */ one) => [one.gate, one.subject, one.line].join("\n");

/** What fits the filter: what may not go comes first, then the newest.
 * @param {any[]} verdicts @param {{gate: string, verdict: string, text: string}} wanted */
function select(verdicts, wanted) {
  const text = wanted.text.trim().toLowerCase();
  return verdicts
    .filter((one) => (!wanted.gate || one.gate === wanted.gate) && (!wanted.verdict || one.verdict === wanted.verdict))
    .filter((one) => !text || `${one.subject} ${one.version} ${one.line}`.toLowerCase().includes(text))
    .sort((one, other) => ORDER[/** @type {keyof typeof ORDER} */ (one.verdict)] - ORDER[/** @type {keyof typeof ORDER} */ (other.verdict)] || Date.parse(other.decided_at) - Date.parse(one.decided_at));
}

/** @param {{of: any}} props */
function Tile({ of }) {
  const now = useNow();
  const over = of.decision === "go" && !mayGo(of, now);
  const until = over ? null : (of.valid_until ?? of.next_change_at);
  const when = until && relative(Date.parse(until), now);
  const scores = of.scores.map((/** @type {number} */ one) => number(one, { maximumFractionDigits: 0 })).join(", ");
  return html`<li class="tile ${over ? "warn-edge" : EDGES[/** @type {keyof typeof EDGES} */ (of.verdict)]}">
    <div class="tile-line"><span class="quiet">${of.gate}${of.line && ` · ${t("overview.line", { line: of.line })}`}</span>${over ? html`<${Chip} kind="warn">${t("overview.over", { verdict: word("verdict", of.verdict) })}<//>` : html`<${Verdict} verdict=${of.verdict} />`}</div>
    <h2><a href=${BASE + path`/gates/${of.gate}/runs/${of.run_id}`}>${of.subject || t("overview.site-itself")} <span class="mono">${of.version}</span></a></h2>
    ${of.reasons.slice(0, 2).map((/** @type {string} */ reason) => html`<p class="quiet">${reason}</p>`)}
    <${Sparkline} values=${of.scores} label=${t("overview.trend", { values: scores })} />
    <div class="tile-line quiet"><span>${t("overview.score", { score: number(of.score_percent, { maximumFractionDigits: 1 }) })}</span><span title=${local(of.decided_at)}>${t("overview.judged", { time: relative(Date.parse(of.decided_at), now) })}</span></div>
    ${until && html`<p class="tile-line quiet" title=${local(until)}>${t(of.decision === "go" ? "overview.until" : "overview.changes-at", { time: of.decision === "go" ? local(until) : String(when) })}</p>`}
  </li>`;
}

/** Verdicts whose last change is younger than a day. @param {{verdicts: any[]}} props */
function Changed({ verdicts }) {
  const now = useNow();
  const changed = verdicts.filter((one) => one.changed_at && Date.parse(one.changed_at) > now - DAY_MS).sort((one, other) => Date.parse(other.changed_at) - Date.parse(one.changed_at));
  return html`<section class="panel"><h2>${t("overview.changed")}</h2>
    ${changed.length
      ? html`<ul class="changes">${changed.slice(0, 50).map((one) => html`<li key=${keyOf(one)}><${Verdict} verdict=${one.changed_from} /> <span aria-hidden="true">→</span> <${Verdict} verdict=${one.verdict} />
          <a href=${BASE + path`/gates/${one.gate}/runs/${one.run_id}`}>${one.gate} · ${one.subject || t("overview.site-itself")} ${one.version}</a> <${When} at=${one.changed_at} /></li>`)}</ul>`
      : html`<p class="quiet">${t("overview.changed.none")}</p>`}
  </section>`;
}
