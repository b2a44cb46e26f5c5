"""Judges the SLOs by the sums of latency samples, each minute, and tells when one stands otherwise than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.common.contracts.metrics import slo as contract
from libs.common.contracts.metrics.slo import SLO_JOB, Slo, SloAlert, SloChanged, SloKey, SloList, SloWindow
from libs.common.listing import Source
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.slo.burn import PAIRS, WINDOWS, Count, Standing, judge, window_text, worst
from libs.slo.model import Indicator, Objective
from services.metrics import slo_signals
from services.metrics.rollups import RouteSum, sums_since

Objectives = tuple[Objective, ...]

SELECT_STATES = "SELECT name, status, since FROM slo_state"
# One process locks all states, so that of two that look at once one tells.
LOCK_STATES = "LOCK TABLE slo_state IN SHARE ROW EXCLUSIVE MODE"
STORE_STATES = """
INSERT INTO slo_state (name, status, since, checked_at)
SELECT name, status, since, $4 FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS found (name, status, since)
ON CONFLICT (name) DO UPDATE SET status = excluded.status, since = excluded.since, checked_at = excluded.checked_at
"""
DELETE_STATES = "DELETE FROM slo_state WHERE name <> ALL ($1::text[])"


@dataclass(frozen=True, slots=True)
class Seen:
    """An objective, the requests in each window and in its period, and how it stands by them."""

    objective: Objective
    windows: Mapping[int, Count]
    period: Count
    since: datetime
    standing: Standing


def count_of(indicator: Indicator, routes: Sequence[RouteSum]) -> Count:
    """The requests that count, and the bad ones among them."""
    chosen = [one for one in routes if indicator.counts(one.method, one.route)]
    total = sum(sum(one.counts) for one in chosen)
    if indicator.kind == "availability":
        return Count(total, sum(one.error_count for one in chosen))
    quick = sum(bound <= (indicator.bound_ms or 0) for bound in BOUNDS_MS)
    return Count(total, total - sum(sum(one.counts[:quick]) for one in chosen))


async def look(source: Source, objectives: Objectives, now: datetime) -> list[Seen]:
    """How each objective stands now, in one statement whatever they are."""
    begins = {minutes: now - timedelta(minutes=minutes) for minutes in WINDOWS}
    periods = [one.period.since(now) for one in objectives]
    sums = await sums_since(source, [*begins.values(), *periods], now)
    found = []
    for objective, since in zip(objectives, periods, strict=True):
        indicator = objective.indicator
        windows = {minutes: count_of(indicator, sums[begin]) for minutes, begin in begins.items()}
        period = count_of(indicator, sums[since])
        found.append(Seen(objective, windows, period, since, judge(objective, windows, period)))
    return found


def _shown(seen: Seen, state: tuple[str, datetime] | None, now: datetime) -> Slo:
    objective, indicator, standing = seen.objective, seen.objective.indicator, seen.standing
    wanted, counted = indicator.threshold_ms, indicator.bound_ms
    windows = [
        SloWindow(
            window=window_text(minutes),
            minutes=minutes,
            sample_count=count.total,
            bad_count=count.bad,
            burn_rate=count.burn_rate(objective.budget),
        )
        for minutes, count in seen.windows.items()
    ]
    alerts = [
        SloAlert(
            severity=pair.severity,
            short_window=window_text(pair.short_minutes),
            long_window=window_text(pair.long_minutes),
            factor=pair.factor,
            firing=firing,
        )
        for pair, firing in zip(PAIRS, standing.firing, strict=True)
    ]
    return Slo(
        **{name: getattr(objective, name) for name in ("name", "title", "service", "description", "file")},
        indicator=indicator.kind,
        counted=", ".join(map(str, indicator.matchers)) or "every request",
        target_percent=round(100 * objective.target, 10),
        threshold_ms=wanted,
        counted_threshold_ms=counted,
        threshold_error_ms=None if wanted is None or counted is None else round(wanted - counted, 6),
        period=objective.period.text,
        period_started_at=seen.since,
        sample_count=seen.period.total,
        bad_count=seen.period.bad,
        good_percent=100 * (1 - seen.period.bad / seen.period.total) if seen.period.total else None,
        budget_left_percent=standing.left_percent,
        status=standing.status,
        # Until the job has looked, a new status is as old as this question.
        since=state[1] if state and state[0] == standing.status else now,
        message=standing.message,
        windows=windows,
        alerts=alerts,
        subjects=list(objective.subjects),
        notes=list(objective.notes),
    )


async def _states(source: Source) -> dict[str, tuple[str, datetime]]:
    return {row["name"]: (row["status"], row["since"]) for row in await source.fetch(SELECT_STATES)}


async def list_slos(objectives: Objectives, read: Read, _params: Nothing) -> SloList:
    """Every SLO as it stands now."""
    states = await _states(read.pool)
    seen = await look(read.pool, objectives, read.now)
    items = [_shown(one, states.get(one.objective.name), read.now) for one in seen]
    return SloList(
        generated_at=read.now,
        status=worst([one.standing.status for one in seen]),
        count=len(items),
        items=items,
    )


async def get_slo(objectives: Objectives, read: Read, wanted: SloKey) -> Slo:
    """One of them. Raises `NotFound` naming those that there are."""
    chosen = tuple(one for one in objectives if one.name == wanted.name)
    if not chosen:
        raise NotFound(f"There is no such SLO; there are {', '.join(one.name for one in objectives) or 'none'}.")
    states = await _states(read.pool)
    (seen,) = await look(read.pool, chosen, read.now)
    return _shown(seen, states.get(wanted.name), read.now)


async def check(objectives: Objectives, tx: Tx) -> JobDone | None:
    """Tell each SLO whose status has changed, and the gates; None if none has."""
    seen = await look(tx.connection, objectives, tx.now)
    await slo_signals.tell(tx, [(one.objective, one.standing) for one in seen])
    await tx.connection.execute(LOCK_STATES)
    states = await _states(tx.connection)
    changed = [one for one in seen if states.get(one.objective.name, ("",))[0] != one.standing.status]
    for one in changed:
        before = states.get(one.objective.name)
        if before is None and one.standing.status == "no_data":
            continue  # a new one that nobody has asked anything of yet: nothing to tell
        tx.emit(contract.slo_changed, _changed(one, before, tx.now), subject=one.objective.name, site="global")
    names = [one.objective.name for one in seen]
    if changed or names != sorted(states):
        since = {one.objective.name: tx.now for one in changed}
        rows = [since.get(name) or states[name][1] for name in names]
        statuses = [one.standing.status for one in seen]
        await tx.connection.execute(STORE_STATES, names, statuses, rows, tx.now)
        await tx.connection.execute(DELETE_STATES, names)
    if not changed:
        return None
    return JobDone(detail={"changed": {one.objective.name: one.standing.status for one in changed}})


def _changed(seen: Seen, before: tuple[str, datetime] | None, now: datetime) -> SloChanged:
    objective, standing = seen.objective, seen.standing
    was = before[0] if before else None
    return SloChanged(
        **{name: getattr(objective, name) for name in ("name", "title", "service")},
        status=standing.status,
        was=was,  # type: ignore[arg-type]  # only statuses are stored
        changes=stated({"status": was}, {"status": standing.status}),
        since=now,
        message=standing.message,
        target_percent=round(100 * objective.target, 10),
        budget_left_percent=standing.left_percent,
    )


def table(objectives: Objectives) -> Table:
    """What this module answers, of these SLOs."""
    return Table(
        queries={contract.list_slos: partial(list_slos, objectives), contract.get_slo: partial(get_slo, objectives)},
        jobs=(Job(SLO_JOB, Schedule("* * * * *"), partial(check, objectives), looks=True),),
    )
