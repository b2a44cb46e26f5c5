// Who saw this verdict. To read is noted nowhere by itself: the page says so, once, when it was before somebody's eyes.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { order, path } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { reader } from "../../api/session.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t } from "../../words/index.js";

const LOOK_MS = 2_000; // who only passes by has not read it
const FEW = 8;
/** What this tab has said, by whom. @type {Set<string>} */
const said = new Set();

/** @param {{run: import("./run.js").Run}} props */
export function Seen({ run }) {
  const url = sited(path`/api/gates/${run.gate}/runs/${run.run_id}/seen`);
  const asked = useAsked(sited(path`/api/gates/${run.gate}/runs/${run.run_id}/seen`, { limit: 200 }), { on: ["governance.verdict.seen"] });
  const [all, setAll] = useState(false);
  useEffect(() => whenLookedAt(() => say(url).then(asked.reload)), [url]);
  return html`<section class="panel"><h2>${t("verdict.seen")}</h2>
    <${Shown} asked=${asked}>${(/** @type {any} */ found) => html`
      ${found.items.length === 0 && html`<p class="quiet">${t("verdict.seen.nobody")}</p>`}
      <ul class="exceptions">${found.items.slice(0, all ? undefined : FEW).map((/** @type {any} */ one) => html`<li key=${one.username}><strong>${one.username}</strong>
        <span class="quiet">${t("verdict.seen.first")} <${When} at=${one.first_seen_at} />${one.last_seen_at !== one.first_seen_at && html` · ${t("verdict.seen.last")} <${When} at=${one.last_seen_at} />`}</span></li>`)}</ul>
      ${!all && found.items.length > FEW && html`<p><button type="button" class="plain" onClick=${() => setAll(true)}>${t("verdict.seen.further", { count: found.items.length - FEW })}</button></p>`}
      ${all && found.next_cursor && html`<p class="quiet">${t("verdict.seen.more")}</p>`}`}<//>
  </section>`;
}

/** Say it, if this tab has not. A machine that looks by a browser sees nothing. @param {string} url */
async function say(url) {
  const me = /** @type {any} */ (reader());
  const key = `${me?.username} ${url}`;
  if (!me) throw new Error("nobody is signed in just now");
  if (me.owner || said.has(key)) return;
  said.add(key);
  try {
    await order("POST", url);
  } catch (problem) {
    said.delete(key); // so that the next look says it
    throw problem;
  }
}

/** Once the page has been visible for a moment, without a break; again at the next look if it could not be said.
 * Returns what ends the waiting. @param {() => Promise<void>} then */
function whenLookedAt(then) {
  let timer = 0;
  const stop = () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  };
  const look = () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") timer = window.setTimeout(() => then().then(stop, () => {}), LOOK_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return stop;
}
