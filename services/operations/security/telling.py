"""Tells every site's gates how risky it is run: each minute that this changed, and every six hours in any case.

A question that is not answered is waited for; after a quarter of an hour the gates are told that the risk is critical.
If nobody tells any more, the fact grows old, and the gate's rule turns red by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from libs.common import versions
from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.contracts.operations.security import (
    JOB,
    KIND,
    SECURITY_POLICY,
    TREND_DAYS,
    Risk,
    RiskChanged,
    risk_lowered,
    risk_raised,
)
from libs.common.problems import Refusal
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from services.operations.domain.risk import LEVELS
from services.operations.security import counting
from services.operations.security.judging import risk_of
from services.operations.security.reading import Reader

SOURCE = "/headgate/operations"
TOLD_AGAIN = timedelta(hours=6)
PATIENCE = timedelta(minutes=15)

# One teller at a time: what gates hear last is what holds.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('operations.security', 0))"
SELECT_TOLD = "SELECT site, score, level, told_at, read_at, zone FROM security_told WHERE site = $1"
LIST_SITES = "SELECT site FROM security_told ORDER BY site"
KEEP_TOLD = """
INSERT INTO security_told (site, score, level, zone, told_at, read_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (site) DO UPDATE SET score = excluded.score, level = excluded.level, zone = excluded.zone,
    told_at = excluded.told_at, read_at = excluded.read_at
"""
MARK_READ = "UPDATE security_told SET read_at = $2, zone = $3 WHERE site = $1"
KEEP_DAY = """
INSERT INTO security_day (site, day, score, level) VALUES ($1, $2, $3, $4)
ON CONFLICT (site, day) DO UPDATE SET score = excluded.score, level = excluded.level, known = true
WHERE security_day.score < excluded.score OR NOT security_day.known
"""
# The worst that was read stays; what nobody could read is no worse than that, only not known.
MARK_UNREAD = """
INSERT INTO security_day (site, day, score, level, complete, known) VALUES ($1, $2, $3, $4, false, false)
ON CONFLICT (site, day) DO UPDATE SET complete = false WHERE security_day.complete
"""
FORGET_DAYS = "DELETE FROM security_day WHERE day < $1"


async def watch(tx: Tx) -> JobDone | None:
    """Count the audit log on, then look at every site; None: there was nothing to tell."""
    with contextlib.suppress(Refusal):  # what was not counted for long is missing from the score, and says so
        await counting.count_on(tx)
    await counting.forget(tx.connection, tx)
    sites = await _sites(tx)
    await tx.connection.execute(LOCK)
    told = [site for site in sites if await look(tx, site)]
    return JobDone(detail={"told_sites": told[:50], "told_count": len(told)}) if told else None


async def _sites(tx: Tx) -> Sequence[str]:
    """Every site; while the edge is away, those that were told before."""
    try:
        found: list[str] = await tx.ask(every_site, Nothing())
    except Refusal:
        found = [row["site"] for row in await tx.connection.fetch(LIST_SITES)]
    return found


async def look(tx: Tx, site: str) -> bool:
    """Tell the gates of one site if there is something to tell. Call it under `LOCK`."""
    facts = await Reader(tx, site).read()
    risk = risk_of(facts)
    before = await tx.connection.fetchrow(SELECT_TOLD, site)
    if not risk.complete and (before is None or timedelta() <= tx.now - before["read_at"] < PATIENCE):
        return False  # a service that is being started again turns no gate
    zone = facts.zone or (before["zone"] if before else "UTC")
    day = tx.now.astimezone(ZoneInfo(zone)).date()
    await tx.connection.execute(KEEP_DAY if risk.complete else MARK_UNREAD, site, day, risk.score, risk.level)
    await tx.connection.execute(FORGET_DAYS, day - timedelta(days=TREND_DAYS))
    if not _is_news(before, risk, tx.now):
        if risk.complete:
            await tx.connection.execute(MARK_READ, site, tx.now, zone)
        return False
    read_at = before["read_at"] if before is not None and not risk.complete else tx.now
    await tx.connection.execute(KEEP_TOLD, site, risk.score, risk.level, zone, tx.now, read_at)
    tx.send(record_signals, _signal(tx, site, risk), site=site)
    if before is not None and before["level"] != risk.level:
        _alert(tx, site, before["level"], risk)
    return True


def _is_news(before: Any, risk: Risk, now: datetime) -> bool:
    if before is None or (before["level"], before["score"]) != (risk.level, risk.score):
        return True
    return not timedelta() <= now - before["told_at"] < TOLD_AGAIN  # also if the clock was set back


def _signal(tx: Tx, site: str, risk: Risk) -> SignalRecord:
    data = {"risk_level": risk.level, "risk_score": risk.score}
    event_id = f"{KIND}-{tx.message_id}-{site}"
    return SignalRecord(signals=[OutsideEvent(id=event_id, source=SOURCE, type=KIND, time=tx.now, data=data)])


def _alert(tx: Tx, site: str, before: Any, risk: Risk) -> None:
    rose = LEVELS.index(risk.level) > LEVELS.index(before)
    why = [f"{one.message} ({one.points:g} points)" for one in risk.why[:5]]
    changes = stated({"level": before}, {"level": risk.level})
    told = RiskChanged(site=site, before=before, level=risk.level, score=risk.score, why=why, changes=changes)
    tx.emit(risk_raised if rose else risk_lowered, told, subject=site, site=site)


TABLE = Table(jobs=(Job(JOB, Schedule("* * * * *"), watch, looks=True),))
POLICY = versions.table(SECURITY_POLICY)
