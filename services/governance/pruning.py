"""Removes old signals that no stored run used and that no fact needs: not the newest of a part, nor its last good one,
nor one that shows a test failing which is still open.

Each run of the job looks at the next page of signals by id and goes back to the first when it meets young ones.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx

PAGE = 5_000

# A verdict that is being made may use a fact that is replaced meanwhile. With this lock no run is under way: those
# before are stored and seen by `PRUNE`, those after it read the facts as they are then.
WAIT_NOT_LONG = "SET LOCAL lock_timeout = '2s'"
LOCK_RUNS = "LOCK TABLE gate_heads IN SHARE MODE"
SELECT_PLACE = "SELECT after_signal_id FROM signal_pruning FOR UPDATE"
PRUNE = """
WITH page AS (
    SELECT signal_id, received_at FROM signals WHERE signal_id > $1 ORDER BY signal_id LIMIT $2
), gone AS (
    DELETE FROM signals USING page
    WHERE signals.signal_id = page.signal_id AND page.received_at < $3
        AND NOT EXISTS (SELECT FROM facts WHERE facts.signal_id = page.signal_id)
        AND NOT EXISTS (SELECT FROM facts WHERE facts.good_signal_id = page.signal_id)
        AND NOT EXISTS (SELECT FROM open_failures WHERE open_failures.signal_id = page.signal_id)
        AND NOT EXISTS (SELECT FROM report_heads WHERE report_heads.signal_id = page.signal_id)
        AND NOT EXISTS (SELECT FROM report_heads WHERE report_heads.good_signal_id = page.signal_id)
        AND NOT EXISTS (SELECT FROM runs WHERE runs.fact_signals @> ARRAY[page.signal_id])
    RETURNING 1
)
SELECT count(*) AS looked_at, max(signal_id) AS last_id, max(received_at) AS youngest,
    (SELECT count(*) FROM gone) AS pruned
FROM page
"""
SAVE_PLACE = "UPDATE signal_pruning SET after_signal_id = $1"


async def prune_signals(tx: Tx, retention: timedelta) -> JobDone | None:
    """Look at one page of signals, and remove those that are older than ``retention`` and needed by nothing."""
    await tx.connection.execute(WAIT_NOT_LONG)
    await tx.connection.execute(LOCK_RUNS)
    before = tx.now - retention
    row = await tx.connection.fetchrow(PRUNE, await tx.connection.fetchval(SELECT_PLACE), PAGE, before)
    if row is None or not row["looked_at"]:
        await tx.connection.execute(SAVE_PLACE, 0)
        return None
    again = row["looked_at"] < PAGE or row["youngest"] >= before
    await tx.connection.execute(SAVE_PLACE, 0 if again else row["last_id"])
    return JobDone(detail={"pruned_count": row["pruned"], "before": before}) if row["pruned"] else None


PRUNE_SCHEDULE = Schedule("30 3,13,23,33,43,53 * * * *")


def prune_job(retention_days: int) -> Job:
    """The schedule of `prune_signals`."""

    async def handler(tx: Tx) -> JobDone | None:
        return await prune_signals(tx, timedelta(days=retention_days))

    return Job("prune_signals", PRUNE_SCHEDULE, handler)


def table(retention_days: int) -> Table:
    """What this module answers: only the clock."""
    return Table(jobs=(prune_job(retention_days),))
