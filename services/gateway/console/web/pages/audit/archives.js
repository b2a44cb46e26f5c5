// The log by month in signed files: what lies in the store, its downloads, and whether it is still whole.
import { html, useState } from "../../vendor/preact.js";
import { address, get, order, path } from "../../api/client.js";
import { useAsked, useOrder } from "../../api/asking.js";
import { mayAll } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Title } from "../../parts/layout.js";
import { Hash, Progress, size } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { say } from "../../parts/notices.js";
import { Paged, usePaged } from "../../parts/paged.js";
import { Empty, Refused, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t, word } from "../../words/index.js";
import { AuditTabs, RunStatus } from "./shared.js";

const LOOK_MS = 1_500;

export default function Archives() {
  const asked = useAsked("/api/audit/archives", { on: ["audit.archive.made"] });
  const [making, setMaking] = useState(false);
  const make = (/** @type {Record<string, string>} */ said) => order("POST", "/api/audit/archives", { month: said.month }, { key: said._key });
  const made = (/** @type {any} */ archive) => {
    setMaking(false);
    say(t("audit.archive.made", { month: archive.month }));
    asked.reload();
  };
  const side = mayAll("audit:write") && html`<button type="button" onClick=${() => setMaking(true)}>${t("audit.archive.make")}</button>`;
  return html`<${Title} side=${side}>${t("audit.archives")}<//><${AuditTabs} />
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => (found.length ? html`<div class="cards">${found.map((one) => html`<${Archive} key=${one.month} one=${one} />`)}</div>` : html`<${Empty} title=${t("audit.archives.empty")}><p>${t("audit.archives.empty.more")}</p><//>`)}<//>
    <${Runs} />
    ${making && html`<${Dialog} title=${t("audit.archive.make")} close=${() => setMaking(false)}><p>${t("audit.archive.make.more")}</p>
      <${Form} deed=${make} done=${made} submit=${t("audit.archive.make")} cancel=${() => setMaking(false)}><${Field} name="month" type="month" label=${t("audit.archive.month")} pattern="[0-9]{4}-[0-9]{2}" placeholder="2026-10" required /><//><//>`}`;
}

/** @param {{one: any}} props */
function Archive({ one }) {
  const { busy, problem, run } = useOrder();
  const [found, setFound] = useState(/** @type {any} */ (null));
  const at = path`/api/audit/archives/${one.month}`;
  const verify = () => run(() => get(`${at}/verify`)).then((answer) => answer && setFound(answer));
  const deep = () => run(() => order("POST", "/api/audit/archive-verifications", { month: one.month })).then((begun) => begun && say(t("audit.begun", { number: begun.number })));
  return html`<section class="panel"><h2>${one.month} <${Chip} kind=${one.state === "frozen" ? "good" : "info"}>${word("audit.archive", one.state)}<//></h2>
    <dl class="facts"><dt>${t("audit.archive.entries")}</dt><dd>${number(one.entry_count)} <span class="mono quiet">${number(one.first_seq)} – ${number(one.last_seq)}</span></dd>
      <dt>${t("audit.archive.capsules")}</dt><dd>${number(one.capsule_count)}${one.capsules_left_out > 0 && html` <span class="late">${t("audit.archive.left-out", { count: one.capsules_left_out })}</span>`}</dd>
      <dt>${t("audit.archive.made-at")}</dt><dd><${When} at=${one.made_at} how="both" /> ${one.made_by}</dd>
      <dt>${t("audit.archive.size")}</dt><dd>${size(one.size_bytes)}</dd><dt>SHA-256</dt><dd><${Hash} text=${one.sha256} /></dd></dl>
    <div class="form-buttons"><a class="button" href="${at}/content" download>ZIP</a><a class="button" href="${at}/csv" download>CSV</a>
      ${one.state === "frozen" && html`<a class="button" href="${at}/timestamp" download>${t("audit.archive.stamp")}</a>`}
      <button type="button" disabled=${busy} aria-busy=${busy} onClick=${verify}>${t("audit.archive.verify")}</button>
      ${mayAll("audit:verify") && html`<button type="button" disabled=${busy} onClick=${deep}>${t("audit.archive.deep")}</button>`}</div>
    ${problem && html`<${Refused} problem=${problem} inline />`}
    <div role="status">${found && html`<p><${RunStatus} status=${found.valid ? "valid" : "broken"} /> ${t("audit.archive.found", { files: found.file_count, entries: found.entry_count })}</p>${found.problem && html`<p class="refused">${found.problem}</p>`}`}</div>
  </section>`;
}

/** Verifications in the background, for archives that take longer than an answer may. */
function Runs() {
  const [quick, setQuick] = useState(false);
  const paged = usePaged(address("/api/audit/archive-verifications", { limit: 20 }), "number", { on: ["audit.archive_verification.finished"], every: quick ? LOOK_MS : 10_000 });
  const running = paged.rows.some((/** @type {any} */ one) => one.status === "running");
  if (running !== quick) setQuick(running);
  if (!paged.rows.length && paged.asked.data) return null;
  return html`<section class="panel"><h2>${t("audit.archive.runs")}</h2><${Paged} paged=${paged}>${(/** @type {any[]} */ rows) => html`<div class="scroll" tabindex="0"><table><thead><tr>
    ${["number", "month", "run", "started", "by"].map((name) => html`<th scope="col">${t(`audit.run.${name}`)}</th>`)}</tr></thead><tbody>${rows.map((one) => html`<tr key=${one.number}><th scope="row">${one.number}</th><td>${one.month}</td>
    <td><${RunStatus} status=${one.status} />${one.status === "running" && html` ${word("audit.stage", one.stage)}<${Progress} done=${one.stage_done} total=${one.stage_total} label=${t("audit.archive.runs")} />`}${one.problem && html`<p class="refused">${one.problem}</p>`}</td>
    <td><${When} at=${one.started_at} /></td><td>${one.started_by}</td></tr>`)}</tbody></table></div>`}<//></section>`;
}
