// Files of the API: fetched with the session, so that a refusal is told and no broken file is saved.
import { html, useState } from "../vendor/preact.js";
import { getAnswer } from "../api/client.js";
import { sayRefused } from "./notices.js";

/** @param {string} url @param {string} name what it is called if the answer does not say */
export async function save(url, name) {
  const answer = await getAnswer(url, { accept: "*/*", long: true });
  const said = /filename="?([^";]+)"?/.exec(answer.headers.get("Content-Disposition") ?? "");
  const place = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = place;
  link.download = said ? said[1] : name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(place), 60_000);
}

/** @param {{url: string, name: string, children: any, plain?: boolean, label?: string}} props */
export function Download({ url, name, children, plain, label }) {
  const [busy, setBusy] = useState(false);
  const fetchIt = () => {
    setBusy(true);
    save(url, name).catch(sayRefused).finally(() => setBusy(false));
  };
  return html`<button type="button" class=${plain ? "plain link" : ""} aria-label=${label} aria-busy=${busy} disabled=${busy} onClick=${fetchIt}>${children}</button>`;
}
