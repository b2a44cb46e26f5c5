// What the parts of the page know of a run.
import { t } from "../../words/index.js";

/**
 * @typedef {{id: string, status: string, required: boolean, passed: boolean, weight: number, message: string, observed: string, wanted: string,
 *   facts_used: number[], owner_role: string, sla_hours: number, action: string, notes: string[], waivers: any[], accepted: any[], passes_at: string|null}} Rule
 * @typedef {{run_id: number, gate: string, site: string, subject: string, version: string, line: string, artifact_digest: string, artifact_signal_id: number|null,
 *   run_number: number, trigger: string, decision: string, status: string, verdict: string, decided_at: string, summary: any, rules: Rule[], reasons: string[],
 *   policy_version: number, site_policy_version: number, capsule_sha256: string|null, valid_until: string|null, next_change_at: string|null, holds: any[],
 *   unused_waivers: number[], evidence_sha256: string|null, approvals: any[], labels: string[], override: any, receipt: string|null}} Run
 */

export const DECIDED = ["governance.gate.decided", "governance.gate.revoked"];

/** What was judged, as an order names it; a gate over a site takes only its name. @param {Run} run @returns {Record<string, string>} */
export function targetOf(run) {
  if (!run.version) return {};
  return {
    subject: run.subject,
    version: run.version,
    ...(run.line && { line: run.line }),
    ...(run.artifact_digest && run.artifact_signal_id === null && { artifact_digest: run.artifact_digest }),
  };
}

/** @param {Run} run */
export const nameOf = (run) => (run.version ? `${run.subject} ${run.version}` : t("verdict.of-site", { gate: run.gate, site: run.site }));

/** So many days from now, as a field of a form has it. @param {number} days */
export function inDays(days) {
  const at = new Date(Date.now() + days * 86_400_000);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
