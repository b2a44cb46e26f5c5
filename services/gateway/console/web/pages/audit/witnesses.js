// Who else has seen the log: its signed checkpoints, the witnesses that cosigned them and when, and the keys.
import { html } from "../../vendor/preact.js";
import { address } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { Title } from "../../parts/layout.js";
import { Hash } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { Paged, usePaged } from "../../parts/paged.js";
import { Empty, Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { number, t, word } from "../../words/index.js";
import { AuditTabs } from "./shared.js";
import { LogState } from "./verification.js";

const HEARD = ["audit.checkpoint.witnessed", "audit.fork.seen"];
const STATES = { cosigned: "good", waiting: "info", refused: "warn", unreachable: "warn", forked: "bad" };

export default function Witnesses() {
  const witnesses = useAsked("/api/audit/witnesses", { on: HEARD, every: 30_000 });
  const checkpoints = usePaged(address("/api/audit/checkpoints", { limit: 25 }), "checkpoint", { on: HEARD, every: 30_000 });
  const keys = useAsked("/api/audit/keys");
  const asked = witnesses.data?.length ?? 0;
  return html`<${Title}>${t("audit.witnesses")}<//><${AuditTabs} /><${LogState} />
    <section class="panel"><h2>${t("audit.witnesses")}</h2><${Shown} asked=${witnesses}>${(/** @type {any[]} */ found) => (found.length ? html`<${Table} found=${found} />` : html`<${Empty} title=${t("audit.witnesses.empty")}><p>${t("audit.witnesses.empty.more")}</p><//>`)}<//></section>
    <section class="panel"><h2>${t("audit.checkpoints")}</h2><${Paged} paged=${checkpoints}>${(/** @type {any[]} */ rows) => (rows.length ? html`<${Checkpoints} rows=${rows} asked=${asked} />` : html`<${Empty} title=${t("audit.checkpoints.empty")} />`)}<//></section>
    <section class="panel"><h2>${t("audit.keys")}</h2><${Shown} asked=${keys}>${(/** @type {any[]} */ found) => html`<${Keys} found=${found} />`}<//></section>`;
}

/** @param {{found: any[]}} props */
function Table({ found }) {
  const now = found.filter((one) => one.state === "cosigned").length;
  return html`<p>${t("audit.witnesses.counts", { now, all: found.length })}</p>
    <div class="scroll" tabindex="0"><table><thead><tr>${["name", "state", "size", "cosigned", "since"].map((name) => html`<th scope="col">${t(`audit.witness.${name}`)}</th>`)}</tr></thead>
    <tbody>${found.map((one) => html`<tr key=${one.witness}><th scope="row">${one.witness}</th>
      <td><${Chip} kind=${STATES[/** @type {keyof typeof STATES} */ (one.state)] ?? "none"}>${word("audit.witness-state", one.state)}<//>${one.problem && html`<p class="quiet">${one.problem}</p>`}</td>
      <td class="number">${number(one.size)}</td><td><${When} at=${one.cosigned_at} /></td><td><${When} at=${one.since} /></td></tr>`)}</tbody></table></div>`;
}

/** @param {{rows: any[], asked: number}} props */
const Checkpoints = ({ rows, asked }) => html`<div class="scroll" tabindex="0"><table><thead><tr>${["size", "signed", "by", "root"].map((name) => html`<th scope="col">${t(`audit.checkpoint.${name}`)}</th>`)}</tr></thead>
  <tbody>${rows.map((one) => html`<tr key=${one.checkpoint}><th scope="row" class="mono">${number(one.size)}</th><td><${When} at=${one.signed_at} how="date" /></td>
    <td><${Chip} kind=${one.witness_count && one.witness_count >= asked ? "good" : "none"}>${t("audit.checkpoint.count", { seen: one.witness_count, all: asked })}<//>
      ${one.cosigned_by.length > 0 && html`<span class="quiet"> ${one.cosigned_by.map((/** @type {any} */ by) => by.witness).join(", ")}</span>`}</td>
    <td><${Hash} text=${one.root_hash} /><details><summary>${t("audit.checkpoint.note")}</summary><pre tabindex="0">${one.checkpoint}</pre></details></td></tr>`)}</tbody></table></div>`;

/** @param {{found: any[]}} props */
const Keys = ({ found }) => html`<div class="scroll" tabindex="0"><table><thead><tr>${["verifier", "algorithm", "first", "use"].map((name) => html`<th scope="col">${t(`audit.key.${name}`)}</th>`)}</tr></thead>
  <tbody>${found.map((one) => html`<tr key=${one.verifier}><td><code>${one.verifier.length > 90 ? `${one.verifier.slice(0, 80)}…` : one.verifier}</code></td><td>${one.algorithm}</td><td><${When} at=${one.first_used_at} how="date" /></td><td>${t(one.in_use ? "yes" : "no")}</td></tr>`)}</tbody></table></div>`;
