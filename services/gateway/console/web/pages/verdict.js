// One verdict: why it is so, what it rests on, what would make it GO, and what people may do about it.
import { html } from "../vendor/preact.js";
import { order, path } from "../api/client.js";
import { sited, useAsked } from "../api/asking.js";
import { may, site } from "../api/session.js";
import { Deed } from "../parts/deed.js";
import { Title } from "../parts/layout.js";
import { say, sayRefused } from "../parts/notices.js";
import { Chip, Sparkline, Verdict } from "../parts/marks.js";
import { Shown } from "../parts/states.js";
import { When, useNow } from "../parts/when.js";
import { BASE, go } from "../router.js";
import { number, t, word } from "../words/index.js";
import { Approvals } from "./verdict/approvals.js";
import { Changes } from "./verdict/changes.js";
import { Exceptions } from "./verdict/exceptions.js";
import { Line } from "./verdict/line.js";
import { PathToGo } from "./verdict/path.js";
import { Rules } from "./verdict/rules.js";
import { Papers } from "./verdict/papers.js";
import { Seen } from "./verdict/seen.js";
import { DECIDED, nameOf, targetOf } from "./verdict/run.js";

const ADMIT_MS = 60_000; // a GO may end by the clock alone

/** @param {{gate: string, run: string}} props */
export default function VerdictPage({ gate, run }) {
  const asked = useAsked(sited(path`/api/gates/${gate}/runs/${run}`));
  return html`<${Shown} asked=${asked}>${(/** @type {any} */ of) => html`<${Whole} run=${of} />`}<//>`;
}

/** @param {{run: import("./verdict/run.js").Run}} props */
function Whole({ run }) {
  const explained = useAsked(sited(path`/api/gates/${run.gate}/runs/${run.run_id}/explanation`));
  const lines = useAsked(sited("/api/verdicts", { gate: run.gate, subject: run.subject, limit: 200 }), { on: DECIDED });
  const line = lines.data?.items.find((/** @type {any} */ one) => one.line === run.line);
  return html`
    <nav class="quiet" aria-label=${t("verdict.where")}><a href=${BASE}>${t("nav.overview")}</a> › <a href=${BASE + path`/gates/${run.gate}`}>${run.gate}</a></nav>
    <${Title} side=${html`<${JudgeAgain} run=${run} /><${CopyLink} />`}>${nameOf(run)}<//>
    <${Newer} run=${run} newest=${line} />
    <${Head} run=${run} line=${line} />
    ${run.decision === "no_go" && html`<${PathToGo} run=${run} />`}
    <${Rules} run=${run} explained=${explained} />
    <${Changes} run=${run} explained=${explained} />
    <div class="two-columns">
      <div><${Exceptions} run=${run} kind="waiver" /><${Exceptions} run=${run} kind="baseline" /><${Papers} run=${run} /></div>
      <div><${Approvals} run=${run} /><${Line} run=${run} /><${Seen} key=${run.run_id} run=${run} /></div>
    </div>`;
}

/** What is said here may not be what holds now. @param {{run: any, newest: any}} props */
function Newer({ run, newest }) {
  const admitted = useAsked(run.decision === "go" ? sited(path`/api/gates/${run.gate}/admit`, { of: run.run_id }) : null, {
    on: DECIDED,
    every: ADMIT_MS,
    ask: () => order("POST", sited(path`/api/gates/${run.gate}/admit`), targetOf(run)),
  });
  const newer = newest && newest.run_number > run.run_number;
  const now = useNow();
  const over = run.decision === "go" && ((admitted.data && !admitted.data.admitted) || (run.valid_until && Date.parse(run.valid_until) <= now));
  return html`
    ${newer && html`<p class="stale" role="status">${t("verdict.newer")} <${Verdict} verdict=${newest.verdict} /> <a href=${BASE + path`/gates/${run.gate}/runs/${newest.run_id}`}>${newest.version || run.gate} · ${t("verdict.run", { number: String(newest.run_id) })}</a></p>`}
    ${over && html`<div class="stale" role="status"><p>${t("verdict.over")}</p><ul>${(admitted.data?.reasons ?? []).map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul></div>`}
    ${admitted.problem && html`<p class="stale" role="status">${t("verdict.over.unknown")} <button type="button" onClick=${admitted.reload}>${t("reload")}</button></p>`}`;
}

/** The verdict, and why, before anything else. @param {{run: any, line: any}} props */
function Head({ run, line }) {
  const until = run.valid_until ?? run.next_change_at;
  const scores = line?.scores ?? [];
  const percent = (/** @type {number} */ one) => number(one, { maximumFractionDigits: 1 });
  return html`<section class="panel verdict-head">
    <div class="verdict-line"><${Verdict} verdict=${run.verdict} big /> <span>${t("verdict.judged")} <${When} at=${run.decided_at} how="both" /></span>
      ${until && html`<span>${t(run.decision === "go" ? "verdict.until" : "verdict.changes-at")} <${When} at=${until} /></span>`}
      ${run.labels.map((/** @type {string} */ one) => html`<${Chip} kind="info">${one}<//>`)}</div>
    ${run.reasons.length > 0 && html`<h2>${t("verdict.reasons")}</h2><ul class="reasons">${run.reasons.map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul>`}
    ${run.override && html`<p class="stale">${t("verdict.overridden", { who: run.override.given_by })} <q>${run.override.reason}</q> · <${When} at=${run.override.until} how="both" /></p>`}
    <dl class="facts">
      <dt>${t("verdict.score")}</dt><dd>${t("verdict.score.of", { score: percent(run.summary.weighted_score_percent), passed: run.summary.passed_rules, total: run.summary.total_rules })}
        ${scores.length > 1 && html`<div class="score-line"><${Sparkline} values=${scores} label=${t("verdict.trend", { values: scores.map(percent).join(", ") })} /></div>`}</dd>
      ${run.line && html`<dt>${t("verdict.line")}</dt><dd>${run.line}</dd>`}
      ${run.artifact_digest && html`<dt>${t("verdict.artifact")}</dt><dd><code>${run.artifact_digest}</code></dd>`}
      <dt>${t("verdict.policy")}</dt><dd>${t("verdict.policy.versions", { common: String(run.policy_version), own: String(run.site_policy_version) })}</dd>
      <dt>${t("verdict.trigger")}</dt><dd>${word("run-trigger", run.trigger)} · ${t("verdict.run", { number: String(run.run_id) })}</dd>
    </dl>
  </section>`;
}

/** @param {{run: any}} props */
function JudgeAgain({ run }) {
  if (!may("gate:run")) return null;
  const judge = (/** @type {any} */ said) => order("POST", sited(path`/api/gates/${run.gate}/runs`), targetOf(run), { key: said._key });
  const done = (/** @type {any} */ made) => go(path`/gates/${made.gate}/runs/${made.run_id}`);
  return html`<${Deed} label=${t("verdict.again")} about=${html`<p>${t("verdict.again.about", { name: nameOf(run) })}</p>`} deed=${judge} done=${done} primary bare />`;
}

function CopyLink() {
  const copy = () => {
    const link = new URL(window.location.href);
    link.searchParams.set("site", site()); // of who has only one, the address has none
    navigator.clipboard.writeText(link.href).then(() => say(t("copied")), sayRefused);
  };
  return html`<button type="button" onClick=${copy}>${t("share")}</button>`;
}
