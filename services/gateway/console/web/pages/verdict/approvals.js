// Approvals: persons say that this candidate may go, each of the very evidence that the page shows.
import { html } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { reader } from "../../api/session.js";
import { Deed } from "../../parts/deed.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { BASE, go } from "../../router.js";
import { t, word } from "../../words/index.js";
import { InStead, Unheard, heard, inStead } from "../standing_in.js";
import { DECIDED, targetOf } from "./run.js";

/** @param {{run: any}} props */
export function Approvals({ run }) {
  const asked = useAsked(sited(path`/api/gates/${run.gate}/approvals`, targetOf(run)), { on: ["governance.approval.", "governance.delegation.", ...DECIDED] });
  return html`<section class="panel"><h2>${t("verdict.approvals")}</h2>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<${Standing} run=${run} found=${found} reload=${asked.reload} />`}<//>
  </section>`;
}

/** @param {{run: any, found: any, reload: () => void}} props */
function Standing({ run, found, reload }) {
  if (!found.wanted.length && !found.approvals.length) return html`<p class="quiet">${t("verdict.approvals.none")}</p>`;
  const same = found.evidence_sha256 === run.evidence_sha256;
  const me = reader()?.username ?? "";
  const mine = found.your_word;
  return html`
    <ul>${found.wanted.map((/** @type {any} */ one) => html`<li>${t("verdict.approvals.wanted", { have: one.have, count: one.count })} <span class="quiet">${[...one.roles, ...one.groups].join(", ")}</span></li>`)}</ul>
    ${found.pending.map((/** @type {string} */ one) => html`<p>${one}</p>`)}
    ${found.approvals.length > 0 && html`<ul class="exceptions">${found.approvals.map((/** @type {any} */ one) => html`<${Given} key=${one.approval_id} of=${one} mine=${one.username === me} reload=${reload} />`)}</ul>`}
    <p class="quiet">${t("verdict.evidence")} <code>${run.evidence_sha256}</code></p>
    ${!same && html`<p class="stale" role="status">${t("verdict.evidence.other")}</p>`}
    <${Unheard} mine=${mine} />
    ${same && heard(mine) && html`${found.otherwise.length > 0 && html`<p class="quiet">${t("verdict.approvals.otherwise")}</p>`}
      <div class="verdict-line">${!found.otherwise.length && html`<${Say} run=${run} word="approve" mine=${mine} reload=${reload} />`}<${Say} run=${run} word="refuse" mine=${mine} reload=${reload} /></div>`}`;
}

/** @param {{of: any, mine: boolean, reload: () => void}} props */
function Given({ of, mine, reload }) {
  const withdraw = (/** @type {any} */ said) => order("POST", sited(`/api/approvals/${of.approval_id}/withdraw`), { reason: said.reason }, { key: said._key });
  return html`<li><div class="verdict-line"><strong>${of.person}</strong> <${Chip} kind=${of.void ? "none" : of.word === "approved" ? "good" : "bad"}>${word("approval", of.word)}<//>
      <span class="quiet">${of.person !== of.username ? t("verdict.on-behalf", { who: of.username }) : ""} ${of.role} · <${When} at=${of.given_at} /></span></div>
    <p><q>${of.reason}</q></p>
    ${of.void && html`<p class="quiet">${t("verdict.void")} ${of.void}</p>`}
    ${mine && html`<${Deed} label=${t("verdict.take-back")} name=${word("approval", of.word)} deed=${withdraw} done=${reload} />`}
  </li>`;
}

/** @param {{run: any, word: "approve"|"refuse", mine: import("../standing_in.js").YourWord, reload: () => void}} props */
function Say({ run, word: what, mine, reload }) {
  const url = sited(path`/api/gates/${run.gate}/` + (what === "approve" ? "approvals" : "declines"));
  const deed = (/** @type {any} */ said) =>
    order("POST", url, { ...targetOf(run), evidence_sha256: run.evidence_sha256, reason: said.reason, ...inStead(said) }, { key: said._key });
  const done = (/** @type {any} */ said) => {
    reload();
    if (said?.run && window.location.pathname.startsWith(BASE)) go(path`/gates/${said.run.gate}/runs/${said.run.run_id}`);
  };
  return html`<${Deed} label=${t(`verdict.approval.${what}`)} primary=${what === "approve"} danger=${what === "refuse"} deed=${deed} done=${done}
    about=${html`<p>${t("verdict.approval.about")} <code>${run.evidence_sha256.slice(0, 16)}…</code></p>`}>
    <${InStead} mine=${mine} /><//>`;
}
