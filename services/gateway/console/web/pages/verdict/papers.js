// What leaves the house: the capsule, the receipt of the audit log, and links by which somebody outside is shown this verdict.
import { html, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may, mayAnywhere } from "../../api/session.js";
import { Deed } from "../../parts/deed.js";
import { Dialog } from "../../parts/dialog.js";
import { Download } from "../../parts/download.js";
import { Field } from "../../parts/form.js";
import { say, sayRefused } from "../../parts/notices.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t, word } from "../../words/index.js";

/** @param {{run: any}} props */
export function Papers({ run }) {
  return html`<section class="panel"><h2>${t("verdict.papers")}</h2>
    <div class="verdict-line">
      ${run.capsule_sha256 ? html`<${Download} url=${sited(path`/api/gates/${run.gate}/runs/${run.run_id}/capsule`)} name="capsule-${run.run_id}.json">${t("verdict.capsule")}<//>` : html`<span class="quiet">${t("verdict.capsule.none")}</span>`}
      ${run.receipt && mayAnywhere("audit:read") && html`<${Download} url=${run.receipt} name="receipt-${run.run_id}.txt">${t("verdict.receipt")}<//>`}
    </div>
    ${run.capsule_sha256 && html`<p class="quiet">SHA-256 <code>${run.capsule_sha256}</code></p>`}
    ${(may("share:read") || may("share:write")) && html`<${Shares} run=${run} />`}
  </section>`;
}

/** @param {{run: any}} props */
function Shares({ run }) {
  const asked = useAsked(may("share:read") ? sited("/api/shares", { active_only: true }) : null, { on: ["gateway.share."] });
  const [made, setMade] = useState(/** @type {any} */ (null));
  const close = (/** @type {any} */ share) => {
    if (share) setMade(share);
    asked.reload();
  };
  return html`<h3>${t("verdict.shares")}</h3>
    ${may("share:read") && html`<${Shown} asked=${asked}>${(/** @type {any[]} */ found) => {
      const own = found.filter((one) => one.gate === run.gate && one.run_id === run.run_id);
      return own.length ? html`<ul class="exceptions">${own.map((one) => html`<${Share} key=${one.share_id} of=${one} reload=${asked.reload} />`)}</ul>` : html`<p class="quiet">${t("verdict.shares.none")}</p>`;
    }}<//>`}
    ${may("share:write") && html`<p><${MakeShare} run=${run} done=${close} /></p>`}
    ${made && html`<${MadeLink} share=${made} close=${() => setMade(null)} />`}`;
}

/** @param {{of: any, reload: () => void}} props */
function Share({ of, reload }) {
  const [seen, setSeen] = useState(false);
  const uses = useAsked(seen ? sited(`/api/shares/${of.share_id}/uses`) : null);
  return html`<li><div class="verdict-line"><strong>${of.label ?? of.fingerprint}</strong> <span class="quiet">${word("share", of.kind)} · ${of.created_by} · ${t("verdict.ends")} <${When} at=${of.expires_at} how="both" /></span></div>
    <div class="verdict-line"><button type="button" class="plain" aria-expanded=${seen} onClick=${() => setSeen(!seen)}>${t("verdict.share.opened", { count: of.use_count, most: of.max_uses })}</button>
      ${may("share:write") && html`<${Deed} label=${t("verdict.revoke")} name=${of.label ?? of.fingerprint} deed=${() => order("DELETE", sited(`/api/shares/${of.share_id}`))} done=${reload} about=${html`<p>${t("verdict.share.revoke")}</p>`} danger bare />`}</div>
    ${seen && html`<${Shown} asked=${uses}>${(/** @type {any[]} */ found) => found.length ? html`<ul>${found.map((one) => html`<li><${When} at=${one.at} how="both" /> · ${one.address} <span class="quiet">${one.agent}</span></li>`)}</ul>` : html`<p class="quiet">${t("verdict.share.unopened")}</p>`}<//>`}
  </li>`;
}

/** @param {{run: any, done: (share: any) => void}} props */
function MakeShare({ run, done }) {
  const deed = (/** @type {any} */ said) =>
    order("POST", sited("/api/shares"), {
      kind: said.kind, gate: run.gate, run_id: run.run_id, expires_in_hours: Number(said.hours), max_uses: Number(said.uses), ...(said.label.trim() && { label: said.label.trim() }),
    }, { key: said._key });
  const kinds = /** @type {[string, string][]} */ (["run", "capsule"].map((one) => [one, word("share", one)]));
  return html`<${Deed} label=${t("verdict.share.make")} about=${html`<p>${t("verdict.share.about")}</p>`} deed=${deed} done=${done} bare>
    <${Field} name="kind" label=${t("verdict.share.what")} options=${kinds} value="run" />
    <${Field} name="hours" type="number" min="1" max="720" value="168" label=${t("verdict.share.hours")} required />
    <${Field} name="uses" type="number" min="1" max="1000" value="20" label=${t("verdict.share.uses")} required />
    <${Field} name="label" label=${t("verdict.share.label")} hint=${t("verdict.share.label.hint")} />
  <//>`;
}

/** The link, which no answer shows again. @param {{share: any, close: () => void}} props */
function MadeLink({ share, close }) {
  const link = share.token ? window.location.origin + share.path + share.token : "";
  const copy = () => navigator.clipboard.writeText(link).then(() => say(t("copied")), sayRefused);
  return html`<${Dialog} title=${t("verdict.share.made")} close=${close} keep>
    ${link ? html`<p>${t("verdict.share.once")}</p><p><code>${link}</code></p><div class="form-buttons"><button type="button" class="primary" onClick=${copy}>${t("copy")}</button><button type="button" onClick=${close}>${t("close")}</button></div>` : html`<p>${share.note}</p>`}
  <//>`;
}
