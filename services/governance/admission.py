"""Admission: whether a version holds a GO that is valid at this very moment. Nothing is stored."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from libs.common.contracts.governance import admission as contract
from libs.common.contracts.governance.admission import Admission
from libs.common.contracts.governance.runs import GateTarget, verdict_word
from libs.common.service import Read, Table
from services.governance.catalog import Catalog
from services.governance.gate import look
from services.governance.validity import HAS_UNSEEN, valid_until

SELECT_HELD = f"""
SELECT held.run_id, held.decided_at, held.valid_until, runs.decision, runs.status, runs.capsule_sha256,
    coalesce(held.valid_until <= $5, false) OR {HAS_UNSEEN} AS is_doubtful
FROM valid_gos AS held JOIN runs USING (run_id)
WHERE held.gate = $1 AND held.site = $2 AND held.subject = $3 AND held.version = $4
"""  # noqa: S608 - a condition of our own


async def admit(catalog: Catalog, read: Read, wanted: GateTarget) -> Admission:
    """Whether the version may go now. Raises `NotFound`, `Invalid`.

    A GO that nothing has touched since is believed. One whose time is over, or that has not seen a newer fact, is
    judged anew, so that no old GO lets anything pass.
    """
    target = await catalog.target(read.pool, wanted.gate, read.site, wanted.subject, wanted.version)
    named: dict[str, Any] = asdict(target)
    row = await read.pool.fetchrow(SELECT_HELD, *named.values(), read.now)
    if row is None:
        what = f"{target.subject} {target.version}".strip()
        reason = f"No GO of the gate {target.gate} holds for {what}; run the gate, and see why if it says NO-GO."
        return Admission(admitted=False, **named, checked_at=read.now, reasons=[reason])
    until, reasons = row["valid_until"], []
    if row["is_doubtful"]:
        policy = (await catalog.in_force(read.pool, target.gate, target.site)).policy(target.subject)
        verdict = (await look(read.pool, policy, target, read.now)).verdict
        until, reasons = valid_until(policy, verdict, row["decided_at"]), list(verdict.reasons)
        if verdict.decision == "go" and until is not None and until <= read.now:
            reasons = [f"The GO of run {row['run_id']} is over since {until.isoformat()}; run the gate again."]
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
    )


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.admit: partial(admit, catalog)})
