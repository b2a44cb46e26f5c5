// One's own due items in a calendar program.
import { html } from "../../vendor/preact.js";
import { say, sayRefused } from "../../parts/notices.js";
import { t } from "../../words/index.js";

const FEED = "/api/ops/governance/gate/remediation/tracker/items.ics";

export function Feed() {
  const whole = window.location.origin + FEED;
  const copy = () => navigator.clipboard.writeText(whole).then(() => say(t("copied")), sayRefused);
  return html`<section class="panel"><h2>${t("autopilot.feed")}</h2>
    <p>${t("autopilot.feed.what")}</p>
    <p><code>${whole}</code></p>
    <div class="bar"><a class="button" href=${FEED} download>${t("download")}</a>
      ${navigator.clipboard && html`<button type="button" onClick=${copy}>${t("copy")}</button>`}</div>
  </section>`;
}
