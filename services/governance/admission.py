"""Admission: whether a version holds a GO that is valid at this very moment. Nothing is stored."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

from libs.common.contracts.governance import admission as contract
from libs.common.contracts.governance.admission import Admission
from libs.common.contracts.governance.runs import GateTarget, verdict_word
from libs.common.service import Read, Table
from libs.judge.plain import plain
from libs.judge.policy import Policy
from services.governance.catalog import Catalog, Target
from services.governance.gate import look
from services.governance.validity import HAS_UNSEEN, IS_AHEAD, valid_until

MAX_LINES = 50  # that hold a GO of one version; where the policy derives lines there is one

# Which versions of the policy are in force comes along, as they say which line it is. So there is always a row.
SELECT_HELD = f"""
SELECT coalesce(of_all.version, 0) AS policy_version, coalesce(of_site.version, 0) AS site_policy_version, found.*
FROM (VALUES (1)) AS one_row
LEFT JOIN LATERAL (
    SELECT version FROM policies WHERE policies.gate = $1 AND policies.site = 'global' ORDER BY version DESC LIMIT 1
) AS of_all ON true
LEFT JOIN LATERAL (
    SELECT version FROM policies WHERE policies.gate = $1 AND policies.site = $2 ORDER BY version DESC LIMIT 1
) AS of_site ON true
LEFT JOIN LATERAL (
    SELECT held.line, held.artifact_digest, held.run_id, held.decided_at, held.valid_until, runs.decision, runs.status,
        runs.capsule_sha256, runs.override,
        coalesce(held.valid_until <= $6, false) OR {IS_AHEAD.format(now="$6")} OR {HAS_UNSEEN} AS is_doubtful
    FROM valid_gos AS held JOIN runs USING (run_id)
    WHERE held.gate = $1 AND held.site = $2 AND held.subject = $3 AND held.version = $4
    ORDER BY held.line = $5 DESC, held.line LIMIT {MAX_LINES}
) AS found ON true
"""  # noqa: S608 - a condition of our own


async def admit(catalog: Catalog, read: Read, wanted: GateTarget) -> Admission:
    """Whether the version may go now. Raises `NotFound`, `Invalid`.

    A GO that nothing has touched since is believed. One whose time is over, or that has not seen a newer fact, is
    judged anew, so that no old GO lets anything pass.
    """
    target = await catalog.target(read.pool, wanted, read.site)
    rows = await read.pool.fetch(SELECT_HELD, *target.key, read.now)
    versions = rows[0]["policy_version"], rows[0]["site_policy_version"]
    policy = (await catalog.at_versions(read.pool, target.gate, target.site, *versions)).policy(target.subject)
    target = target.placed(policy)
    named: dict[str, Any] = asdict(target)
    lines = {row["line"]: row for row in rows if row["run_id"] is not None}
    row = lines.get(target.line)
    if row is None:
        return Admission(admitted=False, **named, checked_at=read.now, reasons=[_no_go(target, sorted(lines))])
    held = replace(target, artifact_digest=row["artifact_digest"])
    named = asdict(held)
    until, reasons, override = row["valid_until"], _of_another(policy, target, row), row["override"]
    if row["is_doubtful"]:
        verdict = (await look(read.pool, policy, held, read.now)).verdict
        until, reasons = valid_until(policy, verdict, row["decided_at"]), [*reasons, *verdict.reasons]
        override = None if verdict.override is None else plain(verdict.override)
        if verdict.decision == "go" and until is not None and until <= read.now:
            reasons += [f"The GO of run {row['run_id']} is over since {until.isoformat()}; run the gate again."]
    return Admission(
        admitted=not reasons,
        **named,
        checked_at=read.now,
        run_id=row["run_id"],
        verdict="NO_GO" if reasons else verdict_word(row["decision"], row["status"]),
        decided_at=row["decided_at"],
        valid_until=None if reasons else until,
        capsule_sha256=row["capsule_sha256"],
        reasons=reasons,
        override=None if reasons else override,
    )


def _of_another(policy: Policy, target: Target, row: Any) -> list[str]:
    """Why the GO is none of the artifact that is about to be deployed; nobody need say which unless the policy asks."""
    judged = row["artifact_digest"]
    if policy.digest_required and not target.artifact_digest:
        return [f"The gate wants to know the artifact; run {row['run_id']} judged {judged or 'none'}. Name its digest."]
    if target.artifact_digest in ("", judged):
        return []
    words = f"judged {judged}" if judged else "judged no artifact by its digest"
    return [f"Run {row['run_id']} {words}, not {target.artifact_digest}; run the gate for that one."]


def _no_go(target: Target, lines: list[str]) -> str:
    """Why nothing is admitted. A GO of another line is none: there the version was compared with something else."""
    what = f"{target.subject} {target.version}".strip() + (f" in the line {target.line}" if target.line else "")
    reason = f"No GO of the gate {target.gate} holds for {what}; run the gate, and see why if it says NO-GO."
    elsewhere = [line or "that has no name" for line in lines][:5]
    return f"{reason} One holds in the line {', '.join(elsewhere)}; name it if you mean that one." if lines else reason


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.admit: partial(admit, catalog)})
