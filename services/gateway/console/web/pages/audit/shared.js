// What the pages of the audit log have in common.
import { html } from "../../vendor/preact.js";
import { Tabs } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { t, word } from "../../words/index.js";

const KINDS = { applied: "good", refused: "warn", failed: "bad" };
const RUNS = { running: "info", valid: "good", broken: "bad", unable: "warn" };

/** The pages of the log. */
export const AuditTabs = () => html`<${Tabs} label=${t("audit.title")} tabs=${[
  ["/audit", t("audit.entries")], ["/audit/verification", t("audit.verification")], ["/audit/witnesses", t("audit.witnesses")], ["/audit/archives", t("audit.archives")],
]} />`;

/** @param {{outcome: string|null|undefined}} props */
export const Outcome = ({ outcome }) => (outcome ? html`<${Chip} kind=${KINDS[/** @type {keyof typeof KINDS} */ (outcome)] ?? "none"}>${word("audit.outcome", outcome)}<//>` : null);

/** The name of an event without what all have. @param {string} type */
export const short = (type) => type.replace(/^headgate\./, "").replace(/\.v\d+$/, "");

/** How a verification stands. @param {{status: string}} props */
export const RunStatus = ({ status }) => html`<${Chip} kind=${RUNS[/** @type {keyof typeof RUNS} */ (status)] ?? "none"}>${word("audit.run", status)}<//>`;
