"""The streak of weekly reports: counted of what was made, and told to every site's operations gate.

The fact is as old as the newest report that carries it, not as the telling: if nobody tells any more, the gate's rule
turns red by itself when that report is 8 days old. That it is over is told besides, each hour that something changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.contracts.operations import streak as contract
from libs.common.contracts.operations.streak import (
    RECENT_DAYS,
    TARGET_WEEKS,
    WINDOW_WEEKS,
    QualityStreak,
    StreakWeek,
)
from libs.common.service import Connection, Read, Table, Tx
from services.operations.domain.streaks import WEEK, monday, streak_of

SOURCE, KIND = "/headgate/operations", "ops.quality_streak"
RECENT = timedelta(days=RECENT_DAYS)
TOLD_AGAIN = timedelta(hours=23)  # so that a site that is new has its fact within a day

# Making, telling and looking take turns: what gates hear last is what holds.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('operations.quality', 0))"
# By the week (UTC) when reports were made; what lies in the future was made by a clock that has been set back.
SELECT_WEEKS = """
SELECT date_trunc('week', made_at, 'UTC') AS week_start, max(made_at) AS made_at,
    (array_agg(critical_findings ORDER BY made_at DESC, run_id DESC))[1] AS critical_findings
FROM quality_report WHERE report_window = 'weekly' AND counts AND made_at <= $1
GROUP BY week_start ORDER BY week_start DESC LIMIT 1000
"""
SELECT_FIRST = """
SELECT min(made_at) FROM quality_report WHERE report_window = 'weekly' AND counts AND made_at <= $1
"""
SELECT_TOLD = "SELECT told_at, fact_at, figures FROM streak_told"
KEEP_TOLD = """
INSERT INTO streak_told (told_at, fact_at, figures) VALUES ($1, $2, $3)
ON CONFLICT (only_row) DO UPDATE SET told_at = excluded.told_at, fact_at = excluded.fact_at, figures = excluded.figures
"""


@dataclass(frozen=True, slots=True)
class Made:
    """The newest report of a week that counts."""

    week_start: datetime
    made_at: datetime
    critical_findings: int | None


async def read(source: asyncpg.Pool | Connection, now: datetime, *, extra: Made | None = None) -> QualityStreak:
    """The streak at a moment; ``extra`` is a report that is just being made."""
    made = {row["week_start"]: Made(**dict(row)) for row in await source.fetch(SELECT_WEEKS, now)}
    first = await source.fetchval(SELECT_FIRST, now)
    if extra is not None:
        made[extra.week_start] = extra
        first = min(filter(None, (first, extra.made_at)))
    return _shown(made, first, now)


def _shown(made: dict[datetime, Made], first: datetime | None, now: datetime) -> QualityStreak:
    latest = max((one.made_at for one in made.values()), default=None)
    found = streak_of(made, latest, now, recent=RECENT, first=first)
    effective = found.target(TARGET_WEEKS)
    begins = [monday(now) - WEEK * number for number in range(WINDOW_WEEKS)]
    weeks = [_week(begin, made.get(begin)) for begin in begins]
    return QualityStreak(
        generated_at=now,
        target_weeks=effective,
        configured_target_weeks=TARGET_WEEKS,
        effective_target_weeks=effective,
        current_streak_weeks=found.weeks,
        target_met=found.weeks >= effective,
        successful_weeks_in_window=sum(one.counts for one in weeks),
        bootstrap_grace_active=effective < TARGET_WEEKS,
        anchor_week_start=found.anchor,
        latest_success_at=latest,
        first_success_at=first,
        weeks_since_first_success=found.weeks_since_first,
        window_weeks=WINDOW_WEEKS,
        weeks_with_findings_in_window=sum(bool(one.critical_findings_total) for one in weeks),
        critical_findings_in_window=sum(one.critical_findings_total or 0 for one in weeks),
        weeks=weeks,
    )


def _week(begin: datetime, made: Made | None) -> StreakWeek:
    if made is None:
        return StreakWeek(week_start=begin, counts=False, made_at=None, critical_findings_total=None)
    return StreakWeek(
        week_start=begin, counts=True, made_at=made.made_at, critical_findings_total=made.critical_findings
    )


async def due(tx: Tx, now_streak: QualityStreak) -> bool:
    """Whether gates are to be told: something changed, or it was long ago. Before the first report there is nothing."""
    if now_streak.latest_success_at is None:
        return False
    told = await tx.connection.fetchrow(SELECT_TOLD)
    return told is None or told["figures"] != figures(now_streak) or tx.now - told["told_at"] >= TOLD_AGAIN


def figures(found: QualityStreak) -> dict[str, Any]:
    """The data of the signal. The gate reads the first two: its own policy says how many weeks there should be."""
    return {
        "current_streak_weeks": found.current_streak_weeks,
        "weeks_since_first_success": found.weeks_since_first_success,
        "effective_target_weeks": found.effective_target_weeks,
        "target_met": found.target_met,
        "latest_success_at": found.latest_success_at.isoformat() if found.latest_success_at else None,
    }


async def tell(tx: Tx, sites: Sequence[str], found: QualityStreak) -> None:
    """Tell the gates. Call it under `LOCK`, when the streak has been read under it."""
    carried_by = found.latest_success_at if found.current_streak_weeks else None
    told = await tx.connection.fetchrow(SELECT_TOLD)
    # Never older than what was told before, which would then stay in charge.
    at = max(filter(None, (carried_by or tx.now, told and told["fact_at"])))
    data = figures(found)
    event = OutsideEvent(id=f"{KIND}-{tx.message_id}", source=SOURCE, type=KIND, time=at, data=data)
    for site in sites:
        tx.send(record_signals, SignalRecord(signals=[event]), site=site)
    await tx.connection.execute(KEEP_TOLD, tx.now, at, data)


async def show(asked: Read, _params: Nothing) -> QualityStreak:
    """The streak now."""
    return await read(asked.pool, asked.now)


TABLE = Table(queries={contract.show_streak: show})
