"""KPIs: read from sums that every change of an item adds to, so that a million items cost what ten thousand do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker import kpi as contract
from libs.common.contracts.tracker.kpi import (
    KPI_JOB,
    BacklogHistory,
    BacklogPoint,
    Duties,
    Kpi,
    KpiDay,
    KpiFacts,
    KpiMetrics,
    KpiRun,
    KpiSeries,
    KpiWindow,
    OverdueItem,
    SeriesFilter,
)
from libs.common.job_runs import envelope, latest, record
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.tracker.board import SITES, sites
from services.tracker.domain import kpi as measures
from services.tracker.domain import kpi_view as view
from services.tracker.domain.kpi import NO_BUCKET, day_of, hour_of

MAX_POINTS = 400

_BOTH = """
(SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount FROM kpi_total
    UNION ALL SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount FROM kpi_delta) AS every
"""
_SUMMED = """
SELECT {columns}, sum(amount)::bigint AS amount FROM {both}
WHERE site = $1 AND measure = ANY ($2::text[]) AND bucket >= $3
    AND ($4::text IS NULL OR gate = $4) AND ($5::text IS NULL OR owner_role = $5) AND ($6::text IS NULL OR rule_id = $6)
GROUP BY {columns} HAVING sum(amount) <> 0
"""
SUMS_BY_BUCKET = _SUMMED.format(columns="measure, bucket", both=_BOTH)
SUMS_BY_OWNER = _SUMMED.format(columns="owner_role, rule_id", both=_BOTH)
# Of each site a few rows by the key that begins with it.
SUM_DUTIES = f"""
WITH RECURSIVE {SITES}
SELECT measure, sum(amount)::bigint AS amount FROM sites CROSS JOIN LATERAL (
    SELECT measure, amount FROM kpi_total
    WHERE kpi_total.site = sites.site AND measure = ANY ($1::text[]) AND bucket = $2
    UNION ALL SELECT measure, amount FROM kpi_delta
    WHERE kpi_delta.site = sites.site AND measure = ANY ($1::text[]) AND bucket = $2
) AS stock GROUP BY measure
"""  # noqa: S608 - our own text
_OPEN = "site = $1 AND is_active AND status <> 'done' AND ($2::text IS NULL OR gate = $2)"
# Every figure of a moment in one statement, so that they agree also where others commit meanwhile. Parts of an hour and
# of a day, which a sum over whole ones can't tell, are counted. $5 is the next full hour, $6 that in which soon ends,
# $10 the beginning of the day. What was due before it is summed by days: hours grow too many.
LOOK = f"""
SELECT CASE WHEN measure NOT IN ('due', 'due_on') THEN measure WHEN bucket < $5 THEN 'due_begun' ELSE 'due_soon'
    END AS name, assignee, CASE WHEN measure = 'open_since' THEN bucket END AS day, sum(amount)::bigint AS amount
FROM {_BOTH}
WHERE site = $1 AND ($2::text IS NULL OR gate = $2) AND (
    measure = ANY ($3::text[]) OR measure = 'completed' AND bucket >= $4
    OR measure = 'due_on' AND bucket < $10 OR measure = 'due' AND bucket >= $10 AND bucket < $6
)
GROUP BY name, assignee, day
UNION ALL SELECT 'rest_of_hour', '', NULL, count(*) FROM item
WHERE {_OPEN} AND paused_at IS NULL AND due_at >= $7 AND due_at < $5
UNION ALL SELECT 'last_part', '', NULL, count(*) FROM item
WHERE {_OPEN} AND paused_at IS NULL AND due_at >= $6 AND due_at < $8
UNION ALL SELECT 'first_part', '', NULL, count(*) FROM item
WHERE site = $1 AND ($2::text IS NULL OR gate = $2) AND completed_at >= $9 AND completed_at < $4
"""  # noqa: S608 - our own text
# The nth open items by age among those that opened on a day or later.
NTH_OPENED = f"SELECT opened_at FROM item WHERE {_OPEN} AND opened_at >= $3 ORDER BY opened_at OFFSET $4 LIMIT $5"  # noqa: S608
TOP_OVERDUE = f"""
SELECT id, item_id, rule_id, priority, owner_role, assignee, status, due_at FROM item
WHERE {_OPEN} AND paused_at IS NULL AND due_at < $3 ORDER BY due_at LIMIT 10
"""  # noqa: S608
# The newest points of the window; the facility system read the oldest, so that its trend stood still after a week.
BACKLOG = """
SELECT run_id, job_name, status, finished_at, open_items FROM (
    SELECT *, coalesce(detail #> '{metrics,open_items}', detail #> '{snapshot,metrics,open_items}',
        detail #> '{workload,total_open_items}')::bigint AS open_items
    FROM job_run WHERE job_name = ANY ($2::text[]) AND site = $1 AND finished_at > $3
    ORDER BY finished_at DESC, run_id DESC LIMIT $4
) AS newest WHERE open_items IS NOT NULL ORDER BY finished_at, run_id
"""
SOURCES = (
    "ops_governance_remediation_escalation", "ops_governance_remediation_auto_assign", KPI_JOB,
)  # fmt: skip
FOLD = """
WITH gone AS (
    DELETE FROM kpi_delta WHERE id IN (SELECT id FROM kpi_delta ORDER BY id LIMIT $1)
    RETURNING site, measure, bucket, gate, owner_role, rule_id, assignee, amount
), summed AS (
    INSERT INTO kpi_total AS total (site, measure, bucket, gate, owner_role, rule_id, assignee, amount)
    SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, sum(amount) FROM gone
    GROUP BY site, measure, bucket, gate, owner_role, rule_id, assignee
    ORDER BY site, measure, bucket, gate, owner_role, rule_id, assignee
    ON CONFLICT (site, measure, bucket, gate, owner_role, rule_id, assignee)
        DO UPDATE SET amount = total.amount + excluded.amount
)
SELECT count(*) FROM gone
"""
FORGET_ZEROS = "DELETE FROM kpi_total WHERE amount = 0"
FOLDED_AT_ONCE = 200_000
_WHOLE = (*measures.STOCK, measures.ASSIGNED, measures.OPEN_SINCE)


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is at one moment: sums of stock by measure, open items by assignee and by the day they opened on.

    ``overdue`` and ``due_soon`` are open items whose clock runs, ``done`` those completed since the window began.
    """

    stock: Mapping[str, int]
    held: Mapping[str, int]
    since_day: Mapping[datetime, int]
    overdue: int
    due_soon: int
    done: int


async def count(
    connection: Connection, site: str, gate: str | None, now: datetime, *, until: datetime, since: datetime
) -> Counts:
    """Count the items of a site's boards, or of one gate's, off the sums. Due soon is what is due before ``until``."""
    next_hour, first_day = hour_of(now) + timedelta(hours=1), day_of(since) + timedelta(days=1)
    last_hour = max(next_hour, hour_of(until))
    rows = await connection.fetch(
        LOOK, site, gate, list(_WHOLE), first_day, next_hour, last_hour, now, until, since, day_of(now)
    )
    found = {(row["name"], row["assignee"]): row["amount"] for row in rows if row["amount"] and row["day"] is None}
    sums = {name: amount for (name, who), amount in found.items() if not who}
    return Counts(
        stock=sums,
        held={who: amount for (name, who), amount in sorted(found.items()) if name == measures.ASSIGNED},
        since_day={row["day"]: row["amount"] for row in rows if row["day"] is not None},
        overdue=sums.get("due_begun", 0) - sums.get("rest_of_hour", 0),
        due_soon=sum(sums.get(name, 0) for name in ("rest_of_hour", "due_soon", "last_part")) if until > now else 0,
        done=sums.get(measures.COMPLETED, 0) + sums.get("first_part", 0),
    )


class _Board:
    """Asks about the boards of a site, or those of one of its gates, in one snapshot."""

    def __init__(self, connection: Connection, site: str, gate: str | None, now: datetime) -> None:
        self.connection, self.site, self.gate, self.now = connection, site, gate, now

    async def look(self, window_days: int, due_soon_hours: int) -> tuple[view.Now, dict[str, int]]:
        """What there is now, and the open items of each assignee."""
        since, until = self.now - timedelta(days=window_days), self.now + timedelta(hours=due_soon_hours)
        counts = await count(self.connection, self.site, self.gate, self.now, until=until, since=since)
        median, oldest = await self._ages(counts.stock.get("open", 0), counts.since_day)
        seen = view.Now(
            at=self.now,
            stock=counts.stock,
            overdue=counts.overdue,
            due_soon=counts.due_soon,
            done_in_window=counts.done,
            median_opened_at=median,
            oldest_opened_at=oldest,
        )
        return seen, dict(counts.held)

    async def _ages(self, count: int, since_day: Mapping[datetime, int]) -> tuple[datetime | None, datetime | None]:
        """When the middle open item opened (of an even number: the mean of the middle two), and the oldest.

        ``since_day`` is how many of the open ones opened on which day.
        """
        if not count:
            return None, None
        place, day = (count - 1) // 2, NO_BUCKET
        for day, amount in sorted(since_day.items()):  # noqa: B007
            if place < amount:
                break
            place -= amount
        middle = await self._opened(day, place, 1 if count % 2 else 2)
        oldest = await self._opened(NO_BUCKET, 0, 1)
        if not middle or not oldest:
            return None, None
        return middle[0] + (middle[-1] - middle[0]) / 2, oldest[0]

    async def _opened(self, day: datetime, place: int, count: int) -> list[datetime]:
        rows = await self.connection.fetch(NTH_OPENED, self.site, self.gate, day, place, count)
        return [row["opened_at"] for row in rows]

    async def overdue(self) -> list[OverdueItem]:
        rows = await self.connection.fetch(TOP_OVERDUE, self.site, self.gate, self.now)
        return [OverdueItem(**dict(row), overdue_hours=view.hours(self.now - row["due_at"])) for row in rows]

    async def history(self, window_days: int) -> BacklogHistory:
        since = self.now - timedelta(days=window_days)
        rows = await self.connection.fetch(BACKLOG, self.site, list(SOURCES), since, MAX_POINTS)
        points = [
            BacklogPoint(
                finished_at=row["finished_at"],
                open_items=row["open_items"],
                source_job=row["job_name"],
                status=row["status"],
                run_id=row["run_id"],
            )
            for row in rows
        ]
        trend = view.trend([point.open_items for point in points])
        return BacklogHistory(window_days=window_days, count=len(points), trend=trend, points=points)


async def snapshot(connection: Connection, site: str, now: datetime, wanted: KpiWindow) -> tuple[view.Now, KpiFacts]:
    """The KPIs as they are in this transaction: what was seen, and the figures made of it."""
    board = _Board(connection, site, wanted.gate, now)
    seen, assigned = await board.look(wanted.window_days, wanted.due_soon_hours)
    if unassigned := seen.count("unassigned_open"):
        assigned["unassigned"] = assigned.get("unassigned", 0) + unassigned
    facts = KpiFacts(
        window_days=wanted.window_days,
        due_soon_hours=wanted.due_soon_hours,
        metrics=KpiMetrics.model_validate(view.metrics(seen, wanted.window_days)),
        status_counts={name: seen.count(name) for name in ("pending", "in_progress", "done", "blocked")},
        assignee_open_counts=assigned,
        backlog_history=await board.history(wanted.window_days),
        top_overdue_items=await board.overdue(),
        recommendations=view.recommendations(seen),
    )
    return seen, facts


async def get_kpi(read: Read, wanted: KpiWindow) -> Kpi:
    """The KPIs now; nothing is stored."""
    async with read.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        _, facts = await snapshot(connection, read.site, read.now, wanted)
    return Kpi(generated_at=read.now, **dict(facts))


async def take(tx: Tx, wanted: KpiWindow) -> JobDone:
    """The KPIs as a run keeps them."""
    seen, facts = await snapshot(tx.connection, tx.site, tx.now, wanted)
    return JobDone(view.status(seen), facts.model_dump(mode="json"))


async def run_kpi(tx: Tx, body: KpiWindow) -> KpiRun:
    """Take the KPIs and keep them."""
    run = await record(tx, KPI_JOB, await take(tx, body))
    return KpiRun.model_validate(envelope(run))


async def run_hourly(tx: Tx) -> JobDone:
    """The same by the clock."""
    return await take(tx, KpiWindow())


async def latest_kpi(read: Read, _params: Nothing) -> bytes:
    """The newest run in the site as JSON of `KpiRun`; one that failed has the reason instead. Raises `NotFound`."""
    run = await latest(read.pool, read.site, KPI_JOB)
    if run is None:
        raise NotFound("The KPIs have not been taken in this site yet; take them with POST …/tracker/kpi/run.")
    return orjson.dumps(envelope(run), option=orjson.OPT_UTC_Z)


async def get_series(read: Read, wanted: SeriesFilter) -> KpiSeries:
    """A row for each day, today's as far as it has come."""
    start = day_of(read.now) - timedelta(days=wanted.days - 1)
    chosen = (wanted.gate, wanted.owner_role, wanted.rule_id)
    async with read.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        flows = await connection.fetch(SUMS_BY_BUCKET, read.site, list(measures.FLOW), start, *chosen)
        owned = await connection.fetch(SUMS_BY_OWNER, read.site, ["open"], NO_BUCKET, *chosen)
    by_role: Counter[str] = Counter()
    by_rule: Counter[str] = Counter()
    for row in owned:
        by_role[row["owner_role"]] += row["amount"]
        by_rule[row["rule_id"]] += row["amount"]
    sums = {(row["measure"], row["bucket"]): row["amount"] for row in flows}
    days = view.series(read.now, wanted.days, by_role.total(), sums)
    return KpiSeries(
        generated_at=read.now,
        days=[KpiDay.model_validate(day) for day in days],
        by_role=dict(sorted(by_role.items())),
        by_rule=dict(sorted(by_rule.items())),
    )


async def count_duties(read: Read, _params: Nothing) -> Duties:
    """The open items of all sites, off the sums."""
    rows = await read.pool.fetch(SUM_DUTIES, [name.removesuffix("_count") for name in Duties.model_fields], NO_BUCKET)
    found = {f"{row['measure']}_count": row["amount"] for row in rows}
    return Duties(**{name: found.get(name, 0) for name in Duties.model_fields})


async def fold(tx: Tx) -> None:
    """Add what has changed to the totals. Nobody is told: nothing is another than it was."""
    if await tx.connection.fetchval(FOLD, FOLDED_AT_ONCE):
        await tx.connection.execute(FORGET_ZEROS)


TABLE = Table(
    commands={contract.run_kpi: run_kpi},
    queries={
        contract.get_kpi: get_kpi,
        contract.latest_kpi: latest_kpi,
        contract.get_series: get_series,
        contract.count_duties: count_duties,
    },
    jobs=(
        Job(KPI_JOB, Schedule("50 * * * *"), run_hourly, sites),
        Job("fold_kpi", Schedule("*/5 * * * *"), fold, looks=True),
    ),
)
