// A freeze calendar made of a calendar program's file: what would come of it is shown before anything is published.
import { html, useState } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { sited } from "../../api/asking.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { say, sayRefused } from "../../parts/notices.js";
import { When } from "../../parts/when.js";
import { t } from "../../words/index.js";

const ZONES = Intl.supportedValuesOf("timeZone");
/** @param {string} text */
const patterns = (text) => text.split(/[\s,]+/).filter(Boolean);

/** @param {{own: number, close: () => void, done: () => void}} props `own`: the site's version that this page shows */
export function ImportFreezes({ own, close, done }) {
  const [begun] = useState(own); // what somebody publishes meanwhile is not what was seen here
  const [file, setFile] = useState("");
  const [seen, setSeen] = useState(/** @type {{said: any, found: any}|null} */ (null));
  const read = (/** @type {any} */ event) => {
    setSeen(null);
    Promise.resolve(event.target.files[0]?.text() ?? "").then(setFile, sayRefused);
  };
  const send = (/** @type {any} */ said, /** @type {any} */ more) => order("POST", sited("/api/freezes/import"), {
    name: said.name.trim(), content: file, reason: said.reason, zone: said.zone.trim() || null, expected_version: begun, skip_refused: Boolean(said.skip_refused),
    ...(said.gates.trim() && { gates: patterns(said.gates) }), ...(said.subjects.trim() && { subjects: patterns(said.subjects) }), ...more,
  }, { key: more.dry_run ? undefined : said._key });
  // What cannot be kept is shown first; whether the rest is published without it is asked then.
  const look = async (/** @type {any} */ said) => setSeen({ said, found: await send(said, { dry_run: true, skip_refused: true }) });
  const publish = (/** @type {any} */ said) => send({ ...seen?.said, _key: said._key, skip_refused: said.skip_refused }, {});
  const published = (/** @type {any} */ result) => {
    say(t("policy.published", { version: result.version }));
    done();
  };
  return html`<${Dialog} side title=${t("freezes.import")} close=${close}><p>${t("freezes.import.what")}</p>
    <div hidden=${seen !== null}><${Form} deed=${look} submit=${t("freezes.import.look")} cancel=${close}>
      <div class="field"><label for="freezes-file">${t("freezes.import.file")}<span aria-hidden="true"> *</span></label><input id="freezes-file" type="file" accept=".ics,text/calendar" required onChange=${read} /></div>
      <${Field} name="name" label=${t("freezes.import.name")} hint=${t("freezes.import.name.hint")} required pattern="[a-z0-9\\-]{1,40}" />
      <${Field} name="zone" label=${t("freezes.import.zone")} hint=${t("freezes.import.zone.hint")} list=${ZONES} autocomplete="off" />
      <${Field} name="gates" label=${t("freezes.import.gates")} hint=${t("freezes.import.gates.hint")} />
      <${Field} name="subjects" label=${t("freezes.import.subjects")} hint=${t("freezes.import.subjects.hint")} />
      <${Field} name="reason" label=${t("reason")} hint=${t("policy.reason.hint")} required /><//></div>
    ${seen && html`<${Found} of=${seen.found} />
      <${Form} deed=${publish} done=${published} submit=${t("policy.publish")} cancel=${() => setSeen(null)}>
        ${seen.found.refused.length > 0 && html`<p><label><input type="checkbox" name="skip_refused" required /> ${t("freezes.import.skip", { count: seen.found.refused.length })}</label></p>`}<//>`}<//>`;
}

/** What the calendar would hold. @param {{of: any}} props */
function Found({ of }) {
  const { calendar, refused } = of;
  return html`<div role="status"><h3>${calendar.name}</h3>
    <p class="quiet">${t("freezes.import.for", { gates: calendar.gates.join(" ") || t("none"), subjects: calendar.subjects.join(" ") })}</p>
    ${calendar.windows.length ? html`<ul class="findings">${calendar.windows.map((/** @type {any} */ one) => html`<li><strong>${one.reason}</strong> <${When} at=${one.starts_at} how="date" /> – <${When} at=${one.ends_at} how="date" /> ${one.rrule && html`<code>${one.rrule}</code> <span class="quiet">${one.zone}</span>`}</li>`)}</ul>` : html`<p>${t("freezes.import.empty")}</p>`}
    ${of.past_count + of.cancelled_count > 0 && html`<p class="quiet">${t("freezes.import.left", { past: of.past_count, cancelled: of.cancelled_count })}</p>`}
    ${refused.length > 0 && html`<h3>${t("freezes.import.refused")}</h3><ul class="findings">${refused.map((/** @type {any} */ one) => html`<li><strong>${one.summary || one.uid}</strong> ${one.why}</li>`)}</ul>`}</div>`;
}
