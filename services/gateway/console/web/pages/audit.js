// The audit log: who did what to what, when, from where, with what outcome. Entries never change; each look at them is noted too.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { sited } from "../api/asking.js";
import { listen } from "../api/events.js";
import { hearAll, site } from "../api/session.js";
import { Title } from "../parts/layout.js";
import { Paged, usePaged } from "../parts/paged.js";
import { Empty } from "../parts/states.js";
import { When } from "../parts/when.js";
import { setQuery, usePlace, useQueryValue } from "../router.js";
import { t, word } from "../words/index.js";
import { EntryDrawer } from "./audit/entry.js";
import { AuditTabs, Outcome, short } from "./audit/shared.js";

const TIMES = ["after", "before"];
const PLAIN = ["text", "actor", "action", "type", "resource_type", "resource_id", "outcome", "issue", "trace_id"];
const HEARD = ["gateway.", "governance.", "tracker.", "notifier.", "operations.", "audit.", "metrics."];

/** What is asked for, from the address. @param {URLSearchParams} query */
export function wantedOf(query) {
  /** @type {Record<string, string>} */
  const wanted = {};
  for (const name of PLAIN) if (query.get(name)) wanted[name] = /** @type {string} */ (query.get(name));
  for (const name of TIMES) {
    const at = Date.parse(query.get(name) ?? "");
    if (!Number.isNaN(at)) wanted[name] = new Date(at).toISOString();
  }
  if (query.get("here")) wanted.only_site = site();
  return wanted;
}

export default function Audit() {
  const { query } = usePlace();
  const [open, setOpen] = useQueryValue("entry");
  const wanted = wantedOf(query);
  const paged = usePaged(sited("/api/audit/entries", { ...wanted, limit: 100 }), "seq");
  const csv = sited("/api/audit/export.csv", wanted);
  return html`<${Title} side=${html`<a class="button" href=${csv} download>${t("audit.export")}</a>`}>${t("audit.title")}<//>
    <${AuditTabs} />
    <${Filters} key=${query.toString().replace(/(^|&)entry=\d*/, "")} query=${query} />
    <${Newer} at=${paged.asked.at} here=${!!query.get("here")} reload=${paged.asked.reload} />
    <${Paged} paged=${paged}>${(/** @type {any[]} */ rows) => (rows.length || paged.next ? html`<${Entries} rows=${rows} open=${setOpen} />` : html`<${Empty} title=${t("audit.empty")}><p>${t("audit.empty.more")}</p><//>`)}<//>
    ${open && html`<${EntryDrawer} key=${open} seq=${open} close=${() => setOpen("")} />`}`;
}

/** Asked when the form is sent and not by each key: who looks at the log is noted. @param {{query: URLSearchParams}} props */
function Filters({ query }) {
  const send = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const said = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    setQuery(Object.fromEntries([...PLAIN, ...TIMES, "here"].map((name) => [name, String(said.get(name) ?? "").trim()])));
  };
  const box = (/** @type {string} */ name, type = "text") => html`<label>${t(`audit.${name}`)}<br /><input type=${type} name=${name} defaultValue=${query.get(name) ?? ""} /></label>`;
  const further = ["resource_type", "resource_id", "type", "issue", "trace_id"];
  return html`<form class="looking-for" role="search" onSubmit=${send}>
    <div class="bar">${box("text", "search")}${box("actor")}${box("action")}
      <label>${t("audit.outcome")}<br /><select name="outcome">${["", "applied", "refused", "failed"].map((one) => html`<option value=${one} selected=${one === (query.get("outcome") ?? "")}>${one ? word("audit.outcome", one) : t("all")}</option>`)}</select></label>
      <div class="form-buttons"><button type="submit" class="primary">${t("search")}</button>
        <button type="button" onClick=${() => setQuery(Object.fromEntries([...PLAIN, ...TIMES, "here"].map((name) => [name, ""])))}>${t("audit.clear")}</button></div>
    </div>
    <details open=${[...TIMES, ...further].some((name) => query.get(name)) || !!query.get("here")}><summary>${t("audit.further")}</summary>
      <div class="bar">${TIMES.map((name) => box(name, "datetime-local"))}${further.map((name) => box(name))}<label class="check"><input type="checkbox" name="here" value="1" defaultChecked=${!!query.get("here")} /> ${t("audit.here", { site: site() })}</label></div>
    </details>
  </form>`;
}

/** That more has happened since: the list is only asked for by a person, since that is noted.
 * @param {{at: number, here: boolean, reload: () => void}} props `here`: of the site that is looked at alone */
function Newer({ at, here, reload }) {
  const [count, setCount] = useState(0);
  const [gap, setGap] = useState(false);
  const begun = useRef(false);
  useEffect(() => {
    setCount(0);
    setGap(false);
  }, [at]);
  useEffect(hearAll, []);
  useEffect(
    () =>
      listen(HEARD, (event) => {
        if (event === null) {
          setGap(begun.current); // the first is the beginning
          begun.current = true;
        } else if (!event.type.includes(".counted.") && (!here || event.site === site())) setCount((before) => before + 1); // what is counted, each minute, is of this look, too
      }),
    [here],
  );
  return html`<p role="status" class="newer">${(gap || count > 0) && html`<button type="button" onClick=${reload}>${gap ? t("audit.newer.unknown") : t("audit.newer", { count })}</button>`}</p>`;
}

/** @param {{rows: any[], open: (seq: string) => void}} props */
function Entries({ rows, open }) {
  return html`<div class="scroll" tabindex="0"><table class="rows"><caption class="hidden">${t("audit.entries")}</caption><thead><tr>
      ${["seq", "time", "action", "resource", "actor", "outcome", "site"].map((name) => html`<th scope="col">${t(`audit.${name}`)}</th>`)}</tr></thead>
    <tbody>${rows.map((one) => html`<tr key=${one.seq}>
      <th scope="row"><button type="button" class="plain link mono" aria-label=${t("audit.open", { seq: one.seq })} onClick=${() => open(String(one.seq))}>${one.seq}</button></th>
      <td><${When} at=${one.time} how="date" /></td>
      <td class="mono">${one.action ?? short(one.type)}${one.reason && html`<p class="quiet">${one.reason}</p>`}</td>
      <td>${one.resource_type && html`<span class="quiet">${one.resource_type}</span> `}${one.subject}</td>
      <td>${one.actor}</td><td><${Outcome} outcome=${one.outcome} /></td><td>${one.site}</td>
    </tr>`)}</tbody></table></div>
    ${!rows.length && html`<p class="quiet">${t("audit.searched")}</p>`}`;
}

