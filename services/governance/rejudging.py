"""The job that looks every minute which GOs hold no more, by the clock or by a newer fact, and revokes them."""

from __future__ import annotations

from functools import partial
from typing import Any

from libs.common.problems import Refusal
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from libs.judge.voices import anybodys_kinds
from services.governance.catalog import Target
from services.governance.gate import facts_used, hears, look
from services.governance.runs import Judging, run_on_schedule
from services.governance.validity import BEGAN_ANEW, HAS_UNSEEN, IS_AHEAD, revoke, staged, valid_until

MAX_REJUDGED = 100
REJUDGE_SCHEDULE = Schedule("* * * * *")

# Heads that a run holds now are being judged anyway; never waiting for one also means never being in a deadlock.
_DUE = """
SELECT held.gate, held.site, held.subject, held.version, held.line, held.artifact_digest, held.run_id, held.decided_at,
    latest.version = held.version AS is_latest, coalesce(held.valid_until <= $1, false) AS is_over
FROM valid_gos AS held JOIN gate_heads AS heads USING (gate, site, subject)
    JOIN gate_lines AS latest USING (gate, site, subject, line)
WHERE held.gate = ANY ($2::text[]) AND {condition}
{order} LIMIT $3 FOR UPDATE OF heads SKIP LOCKED
"""
SELECT_OVER = _DUE.format(condition="held.valid_until <= $1", order="")
SELECT_AHEAD = _DUE.format(
    condition=f"coalesce(held.valid_until > $1, true) AND {IS_AHEAD.format(now='$1')}", order="ORDER BY random()"
)
# Some are found each minute again, such as a GO that rests on a waiver: at random, so that they starve no others.
SELECT_CONTRADICTED = _DUE.format(
    condition=f"coalesce(held.valid_until > $1, true) AND {HAS_UNSEEN}", order="ORDER BY random()"
)
SAW_AGAIN = f"""
UPDATE valid_gos SET valid_until = $6, kinds = $7, fact_signals = $8, heard_kinds = $9, heard_actors = $10,
    history_number = $11, stage_gates = $12, stage_run_ids = $13, stage_untils = $14,
    since = CASE WHEN {BEGAN_ANEW.format(now="$15::timestamptz")} THEN $15 ELSE since END
WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 AND line = $5
"""  # noqa: S608 - a condition of our own


async def rejudge(judging: Judging, tx: Tx) -> JobDone | None:
    """Look at the GOs whose time has come, whose facts have changed, or whose clock ran ahead; at most 300 at a time.

    Where the latest GO of a line turned, a run is stored. A GO that holds over newer facts just holds on.
    """
    gates = await judging.catalog.gates(tx.connection, None)
    over = await tx.connection.fetch(SELECT_OVER, tx.now, gates, MAX_REJUDGED)
    ahead = await tx.connection.fetch(SELECT_AHEAD, tx.now, gates, MAX_REJUDGED)
    seen = {row["run_id"] for row in ahead}
    changed = await tx.connection.fetch(SELECT_CONTRADICTED, tx.now, gates, MAX_REJUDGED)
    run_ids: list[int] = []
    revoked: list[int] = []
    for row in (*over, *ahead, *(row for row in changed if row["run_id"] not in seen)):
        target = Target(row["gate"], row["site"], row["subject"], row["version"], row["line"], row["artifact_digest"])
        try:
            await _look_again(judging, tx, target, row, run_ids, revoked)
        except Refusal as refusal:  # such as a policy that binds the subject no more
            await revoke(tx, target, row["run_id"], [refusal.detail])
            revoked.append(row["run_id"])
    return JobDone(detail={"run_ids": run_ids, "revoked_run_ids": revoked}) if run_ids or revoked else None


async def _look_again(
    judging: Judging, tx: Tx, target: Target, row: Any, run_ids: list[int], revoked: list[int]
) -> None:
    in_force = await judging.catalog.in_force(tx.connection, target.gate, target.site)
    policy = in_force.policy(target.subject)
    if (line := target.placed(policy).line) != target.line:  # the policy began to derive it
        await revoke(tx, target, row["run_id"], [f"The gate puts this version into the line {line} now; run it again."])
        revoked.append(row["run_id"])
        return
    looked = await look(tx.connection, policy, target, tx.now)
    until = valid_until(policy, looked.verdict, row["decided_at"])
    if looked.verdict.decision == "go" and (until is None or until > tx.now):
        if row["is_over"] and row["is_latest"]:
            run_ids.append(await run_on_schedule(judging, tx, target))
            return
        history = looked.facts.history
        number = None if history is None else history.newest_number
        seen = (anybodys_kinds(policy), facts_used(looked.facts), *hears(policy), number)
        rests_on = staged(policy, looked.facts)
        await tx.connection.execute(SAW_AGAIN, *target.key, until, *seen, *rests_on, tx.now)
    elif looked.verdict.decision != "go" and row["is_latest"]:
        run_ids.append(await run_on_schedule(judging, tx, target))
    else:
        perished = [f"The GO of run {row['run_id']} was valid for {policy.valid_for_hours:g} hours; run the gate again."
                    ] if looked.verdict.decision == "go" else looked.verdict.reasons  # fmt: skip
        await revoke(tx, target, row["run_id"], perished)
        revoked.append(row["run_id"])


def table(judging: Judging) -> Table:
    """What this module answers: the job."""
    return Table(jobs=(Job("rejudge", REJUDGE_SCHEDULE, partial(rejudge, judging), looks=True),))
