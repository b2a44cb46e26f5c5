// What all pages of the administration are made of: their tabs, tables, and the dialog of a deed.
import { html, useState } from "../../vendor/preact.js";
import { Problem, get, order } from "../../api/client.js";
import { mayAll, mayAnywhere, reader } from "../../api/session.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Form } from "../../parts/form.js";
import { Title } from "../../parts/layout.js";
import { say } from "../../parts/notices.js";
import { Empty } from "../../parts/states.js";
import { BASE, usePlace } from "../../router.js";
import { t } from "../../words/index.js";

/** Section, and what it takes to see it; null: everybody may. */
export const SECTIONS = /** @type {[string, string|null][]} */ ([
  ["users", "identity:read"],
  ["tokens", "token:read"],
  ["accounts", "identity:read"],
  ["roles", "identity:read"],
  ["grants", "identity:read"],
  ["sites", "site:read"],
  ["webhooks", "signal:read"],
  ["settings", "token:read"],
  ["risk", "identity:read"],
  ["dead-letters", "deadletter:read"],
  ["status", "status:read"],
]);

/** Tabs of the sections that the reader may see. */
function Tabs() {
  const { path } = usePlace();
  return html`<nav class="tabs" aria-label=${t("admin.sections")}>${SECTIONS.filter(([, right]) => right === null || mayAnywhere(right)).map(([one]) => {
    const here = path === `/admin/${one}` || path.startsWith(`/admin/${one}/`);
    return html`<a href="${BASE}/admin/${one}" aria-current=${here ? "page" : undefined}>${t(`admin.${one}`)}</a>`;
  })}</nav>`;
}

/** A page of the administration. @param {{title: any, side?: any, children: any}} props */
export const Section = ({ title, side, children }) => html`<${Title} side=${side}>${title}<//><${Tabs} />${children}`;

/**
 * A table; a column is its heading and what stands in it. The first column names the row.
 * @param {{rows: any[], columns: [string, (row: any) => any][], keyOf: (row: any) => any, empty: string, label: string, more?: any}} props
 */
export function Rows({ rows, columns, keyOf, empty, label, more }) {
  if (!rows.length) return html`<${Empty} title=${empty}>${more}<//>`;
  return html`<div class="panel scroll" tabindex="0" role="region" aria-label=${label}><table class="admin-rows">
    <thead><tr>${columns.map(([heading]) => html`<th scope="col">${heading}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${keyOf(row)}>${columns.map(([, cell], place) => (place ? html`<td>${cell(row)}</td>` : html`<th scope="row">${cell(row)}</th>`))}</tr>`)}</tbody>
  </table></div>`;
}

/** A name among many in a cell. @param {{names: string[]|null|undefined, none?: string}} props */
export const Names = ({ names, none }) => (names?.length ? html`<span>${names.join(", ")}</span>` : html`<span class="quiet">${none ?? "–"}</span>`);

/** Whether the reader may act on what somebody holds: on their own, or with the right to administer identity. @param {string} holder */
export const inHand = (holder) => holder === reader()?.username || mayAll("identity:write");

/** Whether somebody has a second factor; what is not said is not known. @param {{second_factor?: boolean|null}} user */
export const factorOf = ({ second_factor: has }) => (has == null ? "–" : t(has ? "yes" : "no"));

/** What was typed as a list: by commas, spaces or lines. @param {string} text */
export const listed = (text) => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/** What was typed as JSON; raises `Problem`. @param {string} text */
export function json(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(422, { title: t("admin.setting.no-json"), detail: String(error) });
  }
}

/**
 * @typedef {object} Deed
 * @property {string} title
 * @property {any} [why] what it does, before it is done
 * @property {any[]} [fields] of `Field`
 * @property {string} [typed] what must be typed before it is done
 * @property {(values: Record<string, string>) => Promise<any>} run
 * @property {string} submit
 * @property {boolean} [danger]
 * @property {(result: any) => ({label: string, value: string, note?: string}|null)} [secret] what is shown this once
 * @property {() => Promise<Deed>} [anew] the same deed about what there is by now
 */

/** Changing what is there: what the reader changed is sent, and counts only onto what they read. `whole`: the API takes all fields or none.
 * @param {any} one @param {{title: string, why?: string, url: string, fields: (one: any) => any[], body: (said: any) => any, whole?: boolean, read?: () => Promise<any>}} how
 * @returns {Deed} */
export function changing(one, how) {
  const fields = how.fields(one);
  const before = how.body(Object.fromEntries(fields.map(({ name, value }) => [name, value ?? ""])));
  return {
    title: how.title, why: how.why, submit: t("save"), fields,
    run: async ({ _key, ...said }) => {
      const body = how.body(said);
      const changed = Object.entries(body).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
      if (!changed.length) return null;
      return order(how.whole ? "PUT" : "PATCH", how.url, how.whole ? body : Object.fromEntries(changed), { ifMatch: one.revision, key: _key });
    },
    anew: async () => changing(await (how.read ?? (() => get(how.url)))(), how),
  };
}

/** What there is by now, in the fields that the reader left alone; beside the others it is said. @param {Deed} was @param {Deed} now @param {any} said */
const renewed = (was, now, said) => ({
  ...now,
  fields: now.fields?.map((field, place) => {
    const old = was.fields?.[place];
    if (field.value === old.value) return old;
    if ((old.value ?? "") === said[field.name]) return { ...field, key: field.name + field.value };
    return { ...field, key: old.key, hint: t("admin.by-now", { value: field.value }) };
  }),
});

/** The dialog of a deed: what it does, what it takes, and where there is one, the secret that it made.
 * @param {{deed: Deed, close: () => void, done?: () => void}} props */
export function DeedDialog({ deed: asked, close, done }) {
  const [made, setMade] = useState(/** @type {any} */ (null));
  const [deed, setDeed] = useState(asked);
  const run = async (/** @type {Record<string, string>} */ values) => {
    if (deed.typed && values.typed !== deed.typed) throw new Problem(422, { title: t("admin.typed-wrong") });
    try {
      return await deed.run(values);
    } catch (problem) {
      if (/** @type {any} */ (problem).status === 412 && deed.anew) setDeed(renewed(deed, await deed.anew(), values));
      throw problem;
    }
  };
  const after = (/** @type {any} */ result) => {
    const secret = deed.secret?.(result);
    done?.();
    if (secret) return setMade(secret);
    say(t("admin.done", { what: deed.title }));
    close();
  };
  if (made) return html`<${Dialog} title=${deed.title} close=${close} keep><${Secret} ...${made} /><div class="form-buttons"><button type="button" class="primary" onClick=${close}>${t("admin.secret.kept")}</button></div><//>`;
  return html`<${Dialog} title=${deed.title} close=${close}>
    ${deed.why && html`<p>${deed.why}</p>`}
    <${Form} deed=${run} done=${after} submit=${deed.submit} cancel=${close} danger=${deed.danger}>
      ${(deed.fields ?? []).map(({ key, ...field }) => html`<${Field} key=${key ?? field.name} ...${field} />`)}
      ${deed.typed && html`<${Field} name="typed" label=${t("admin.typed", { name: deed.typed })} autocomplete="off" required />`}
    <//>
  <//>`;
}

/** Deeds of a page: `ask` opens one; put `dialog` somewhere. @param {() => void} [done] */
export function useDeeds(done) {
  const [deed, setDeed] = useState(/** @type {Deed|null} */ (null));
  const dialog = deed && html`<${DeedDialog} key=${deed.title} deed=${deed} close=${() => setDeed(null)} done=${done} />`;
  return { ask: setDeed, dialog };
}

/** Shown once, kept nowhere. @param {{label: string, value: string, note?: string}} props */
export function Secret({ label, value, note }) {
  const [copied, setCopied] = useState(false);
  const copy = () => navigator.clipboard.writeText(value).then(() => setCopied(true), () => {}); // it can be marked and copied by hand
  return html`<p><strong>${label}</strong></p><pre class="secret" tabindex="0">${value}</pre>
    <p><button type="button" onClick=${copy}>${copied ? t("copied") : t("copy")}</button> <span role="status" class="hidden">${copied ? t("copied") : ""}</span></p>
    <p class="quiet">${t("admin.secret.once")}</p>${note && html`<p class="quiet">${note}</p>`}`;
}
