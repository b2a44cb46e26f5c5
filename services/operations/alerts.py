"""What became of a daily check's alert. The notifier delivers later, and tries for hours: its word is asked and kept.

Asked at each reading while something may still change, and every minute by a job, so that the word outlives the
notifier's own rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from libs.common.contracts.notifier.alerting import Dispatch, DispatchKey, dispatch_of
from libs.common.problems import Refusal
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Table, Tx
from services.operations.asked import Asks
from services.operations.domain.alerting import Word, word_of

FOLLOWED = timedelta(hours=36)  # the notifier gives up long before
KEPT = timedelta(days=400)
AT_ONCE = 20
ASK_S = 2.0

INSERT_ALERT = "INSERT INTO check_alert (run_id, event_id, raised_at) VALUES ($1, $2, $3)"
SELECT_ALERTS = """
SELECT run_id, event_id, raised_at, dispatched, error, settled_at FROM check_alert WHERE run_id = ANY ($1::bigint[])
"""
SELECT_OPEN = """
SELECT run_id, event_id, raised_at, dispatched, error, settled_at FROM check_alert
WHERE settled_at IS NULL AND raised_at > $1 ORDER BY raised_at LIMIT $2
"""
KEEP_WORD = "UPDATE check_alert SET dispatched = $2, error = $3, settled_at = $4 WHERE run_id = $1"
REMOVE_ALERTS = "DELETE FROM check_alert WHERE raised_at < $1"


@dataclass(frozen=True, slots=True)
class Followed:
    """An alert that was raised, and the word on it that is kept."""

    run_id: int
    event_id: UUID
    raised_at: datetime
    dispatched: bool | None
    error: str | None
    settled_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether the word may still change."""
        return self.settled_at is None and now - self.raised_at < FOLLOWED


async def follow(connection: Connection, run_id: int, event_id: UUID, now: datetime) -> None:
    """Note that an alert was raised."""
    await connection.execute(INSERT_ALERT, run_id, event_id, now)


async def kept(source: asyncpg.Pool | Connection, run_ids: Sequence[int]) -> Mapping[int, Followed]:
    """The alerts of runs, by run."""
    rows = await source.fetch(SELECT_ALERTS, list(run_ids))
    return {row["run_id"]: Followed(**dict(row)) for row in rows}


async def word_on(asker: Asks, alert: Followed, now: datetime) -> Word:
    """What is known now: the notifier's word, or the one that is kept while it does not answer."""
    known = Word(alert.dispatched, alert.error, alert.settled_at is not None)
    if not alert.is_open(now):
        return known
    try:
        told: Dispatch = await asker.ask(dispatch_of, DispatchKey(event_id=alert.event_id), timeout_s=ASK_S)
    except Refusal:
        return known
    return word_of(
        heard=told.heard,
        total=told.delivery_count,
        delivered=told.delivered_count,
        failing=told.failing_count,
        error=told.error,
    )


async def look(tx: Tx) -> JobDone | None:
    """Ask about the alerts that are open, and keep what has changed."""
    rows = await tx.connection.fetch(SELECT_OPEN, tx.now - FOLLOWED, AT_ONCE)
    changed = []
    for alert in (Followed(**dict(row)) for row in rows):
        word = await word_on(tx, alert, tx.now)
        if (word.dispatched, word.error, word.settled) != (alert.dispatched, alert.error, False):
            at = tx.now if word.settled else None
            await tx.connection.execute(KEEP_WORD, alert.run_id, word.dispatched, word.error, at)
            changed.append({"run_id": alert.run_id, "dispatched": word.dispatched, "error": word.error})
    await tx.connection.execute(REMOVE_ALERTS, tx.now - KEPT)
    return JobDone(detail={"alerts": changed}) if changed else None


TABLE = Table(jobs=(Job("follow_check_alerts", Schedule("* * * * *"), look, looks=True),))
