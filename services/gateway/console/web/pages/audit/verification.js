// Is the log what it was? A quick look at all links from here, and whole verifications by the service, live.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { address, get, order } from "../../api/client.js";
import { useAsked, useOrder } from "../../api/asking.js";
import { mayAll } from "../../api/session.js";
import { Title } from "../../parts/layout.js";
import { Hash, Progress } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Paged, usePaged } from "../../parts/paged.js";
import { Empty, Refused, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t } from "../../words/index.js";
import { AuditTabs, RunStatus } from "./shared.js";

const HEARD = ["audit.verification.finished"];
const LOOK_MS = 1_500;
const STATES = { signed: "good", behind: "info", filling: "info", unsigned: "warn", disarmed: "warn", unknown: "warn", forked: "bad" };

export default function Verification() {
  return html`<${Title}>${t("audit.verification")}<//><${AuditTabs} /><${LogState} /><${Quick} /><${Runs} />`;
}

/** How far the log is signed; also at the head of the witnesses' page. */
export function LogState() {
  const asked = useAsked("/api/audit/log", { on: ["audit.checkpoint.witnessed", "audit.fork.seen"], every: 30_000 });
  return html`<section class="panel"><h2>${t("audit.log")}</h2><${Shown} asked=${asked}>${(/** @type {any} */ log) => html`
    <p><${Chip} kind=${STATES[/** @type {keyof typeof STATES} */ (log.state)] ?? "none"}>${t(`audit.log.${log.state}`)}<//></p>
    ${[log.problem, log.fork].filter(Boolean).map((text) => html`<p class="refused" role="alert">${text}</p>`)}
    <dl class="facts"><dt>${t("audit.log.entries")}</dt><dd>${number(log.entry_count)}</dd><dt>${t("audit.log.tree")}</dt><dd>${number(log.tree_size)}</dd>
      <dt>${t("audit.log.signed-at")}</dt><dd><${When} at=${log.signed_at} how="both" /></dd>
      <dt>${t("audit.log.verifier")}</dt><dd><code>${log.verifier ?? "–"}</code></dd></dl>
    ${log.checkpoint && html`<details><summary>${t("audit.log.checkpoint")}</summary><pre tabindex="0">${log.checkpoint}</pre></details>`}`}<//></section>`;
}

/** The chain recomputed piece after piece, as far as one answer goes each time. */
function Quick() {
  const { busy, problem, run } = useOrder();
  const [found, setFound] = useState(/** @type {any} */ (null));
  const stopped = useRef(false);
  useEffect(() => () => {
    stopped.current = true; // who leaves the page asks for no more pieces
  }, []);
  const verify = () =>
    run(async () => {
      stopped.current = false;
      setFound(null);
      let from = 1;
      for (let checked = 0; ; ) {
        const piece = await get(address("/api/audit/verify", { from_seq: from }));
        checked += piece.checked_count;
        setFound({ ...piece, checked });
        if (!piece.valid || !piece.next_seq || stopped.current) return;
        from = piece.next_seq;
      }
    });
  const over = found && (!found.valid || !found.next_seq);
  return html`<section class="panel"><h2>${t("audit.quick")}</h2><p class="quiet">${t("audit.quick.more")}</p>
    <div class="form-buttons"><button type="button" disabled=${busy} aria-busy=${busy} onClick=${verify}>${t("audit.quick.go")}</button>
      ${busy && html`<button type="button" onClick=${() => (stopped.current = true)}>${t("cancel")}</button>`}</div>
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <div role="status">${found && html`
      <p>${over ? html`<${RunStatus} status=${found.valid ? "valid" : "broken"} />` : ""} ${t("audit.checked", { count: found.checked })}</p>
      ${!over && html`<${Progress} done=${found.to_seq} total=${found.head_seq} label=${t("audit.quick")} />`}
      ${found.problem && html`<p class="refused">${found.problem}</p>`}
      ${over && html`<p class="quiet">${t("audit.quick.note", { seq: found.head_seq })} <code>${found.head_hash}</code></p>`}`}</div>
  </section>`;
}

function Runs() {
  const [quick, setQuick] = useState(false);
  const paged = usePaged(address("/api/audit/verifications", { limit: 20 }), "number", { on: HEARD, every: quick ? LOOK_MS : undefined });
  const { busy, problem, run } = useOrder();
  const running = paged.rows.some((/** @type {any} */ one) => one.status === "running");
  if (running !== quick) setQuick(running);
  const start = (/** @type {string} */ mode) => run(() => order("POST", "/api/audit/verifications", { mode })).then((made) => {
    if (made === undefined) return;
    say(t("audit.begun", { number: made.number }));
    paged.asked.reload();
  });
  return html`<section class="panel"><h2>${t("audit.runs")}</h2>
    ${mayAll("audit:verify") && html`<div class="form-buttons">${["whole", "incremental"].map((mode) => html`<button type="button" disabled=${busy || running} onClick=${() => start(mode)}>${t(`audit.start.${mode}`)}</button>`)}</div>`}
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <${Paged} paged=${paged}>${(/** @type {any[]} */ rows) => (rows.length ? html`<div class="scroll" tabindex="0"><table><thead><tr>
      ${["number", "run", "mode", "range", "checkpoints", "started", "by"].map((name) => html`<th scope="col">${t(`audit.run.${name}`)}</th>`)}</tr></thead>
      <tbody>${rows.map((one) => html`<${Run} key=${one.number} one=${one} />`)}</tbody></table></div>` : html`<${Empty} title=${t("audit.runs.empty")} />`)}<//>
  </section>`;
}

/** @param {{one: any}} props */
const Run = ({ one }) => html`<tr><th scope="row">${one.number}</th>
  <td><${RunStatus} status=${one.status} />${one.status === "running" && html`<${Progress} done=${one.checked_count} total=${one.total_count} label=${t("audit.runs")} />`}
    ${one.problem && html`<p class="refused">${one.problem}${one.first_bad_seq && html` <${Hash} text=${`#${one.first_bad_seq}`} />`}</p>`}</td>
  <td>${t(`audit.mode.${one.mode}`)}</td><td class="mono">${number(one.from_seq)} – ${number(one.to_seq)}</td><td class="number">${number(one.checkpoint_count)}</td>
  <td><${When} at=${one.started_at} /></td><td>${one.started_by}</td></tr>`;
