"""KPIs: read from sums that every change of an item adds to, so that a million items cost what ten thousand do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker import kpi as contract
from libs.common.contracts.tracker.kpi import (
    KPI_JOB,
    BacklogHistory,
    BacklogPoint,
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
from services.tracker.domain import kpi as measures
from services.tracker.domain import kpi_view as view
from services.tracker.domain.kpi import NO_BUCKET, day_of, hour_of

MAX_POINTS = 400

_BOTH = """
SELECT {columns}, sum(amount)::bigint AS amount FROM (
    SELECT * FROM (SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount FROM kpi_total
        UNION ALL SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount FROM kpi_delta) AS every
    WHERE site = $1 AND measure = ANY ($2::text[]) AND bucket >= $3 AND bucket < $4
        AND ($5::text IS NULL OR gate = $5) AND ($6::text IS NULL OR owner_role = $6)
        AND ($7::text IS NULL OR rule_id = $7)
) AS found GROUP BY {columns} HAVING sum(amount) <> 0
"""
SUMS = _BOTH.format(columns="measure, assignee")
SUMS_BY_BUCKET = _BOTH.format(columns="measure, bucket")
SUMS_BY_OWNER = _BOTH.format(columns="owner_role, rule_id")
# The parts of an hour, or of a day, that a sum over whole ones can't tell.
DUE_BETWEEN = """
SELECT count(*) FROM item WHERE site = $1 AND is_active AND status <> 'done' AND due_at >= $2 AND due_at < $3
    AND paused_at IS NULL AND ($4::text IS NULL OR gate = $4)
"""
DONE_BETWEEN = """
SELECT count(*) FROM item WHERE site = $1 AND completed_at >= $2 AND completed_at < $3
    AND ($4::text IS NULL OR gate = $4)
"""
# The nth open item by age among those of one day.
NTH_OPENED = """
SELECT opened_at FROM item WHERE site = $1 AND is_active AND status <> 'done' AND opened_at >= $2
    AND ($3::text IS NULL OR gate = $3)
ORDER BY opened_at OFFSET $4 LIMIT 1
"""
TOP_OVERDUE = """
SELECT id, item_id, rule_id, priority, owner_role, assignee, status, due_at FROM item
WHERE site = $1 AND is_active AND status <> 'done' AND due_at < $2 AND paused_at IS NULL
    AND ($3::text IS NULL OR gate = $3)
ORDER BY due_at LIMIT 10
"""
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
SITES = "SELECT DISTINCT site FROM board ORDER BY site"
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
_FOREVER = datetime(9999, 1, 1, tzinfo=NO_BUCKET.tzinfo)


class _Board:
    """Asks about the boards of a site, or those of one of its gates, in one snapshot."""

    def __init__(self, connection: Connection, site: str, gate: str | None, now: datetime) -> None:
        self.connection, self.site, self.gate, self.now = connection, site, gate, now

    async def sums(self, names: Sequence[str], start: datetime = NO_BUCKET, end: datetime = _FOREVER) -> Counter[str]:
        rows = await self.connection.fetch(SUMS, self.site, list(names), start, end, self.gate, None, None)
        found: Counter[str] = Counter()
        for row in rows:
            found[row["measure"]] += row["amount"]
        return found

    async def assigned(self) -> dict[str, int]:
        rows = await self.connection.fetch(
            SUMS, self.site, [measures.ASSIGNED], NO_BUCKET, _FOREVER, self.gate, None, None
        )
        return {row["assignee"]: row["amount"] for row in sorted(rows, key=lambda row: str(row["assignee"]))}

    async def _one(self, sql: str, *values: Any) -> Any:
        return await self.connection.fetchval(sql, self.site, *values)

    async def _due_until(self, end: datetime) -> int:
        """Open items due from the next full hour after now to ``end``."""
        first, last = hour_of(self.now) + timedelta(hours=1), hour_of(end)
        whole = (await self.sums([measures.DUE], first, last))[measures.DUE] if last > first else 0
        return int(whole + await self._one(DUE_BETWEEN, max(first, last), max(end, first), self.gate))

    async def look(self, window_days: int, due_soon_hours: int) -> view.Now:
        now = self.now
        stock = await self.sums(measures.STOCK, NO_BUCKET, NO_BUCKET + timedelta(seconds=1))
        next_hour = hour_of(now) + timedelta(hours=1)
        later = (await self.sums([measures.DUE], next_hour))[measures.DUE]
        due_in_this_hour = await self._one(DUE_BETWEEN, now, next_hour, self.gate)
        all_due = (await self.sums([measures.DUE]))[measures.DUE]
        until = now + timedelta(hours=due_soon_hours)
        soon = 0
        if due_soon_hours:
            soon = await self._one(DUE_BETWEEN, now, min(next_hour, until), self.gate) + await self._due_until(until)
        since = now - timedelta(days=window_days)
        first_day = day_of(since) + timedelta(days=1)
        done = (await self.sums([measures.COMPLETED], first_day))[measures.COMPLETED]
        done += await self._one(DONE_BETWEEN, since, first_day, self.gate)
        return view.Now(
            at=now,
            stock=stock,
            overdue=all_due - later - due_in_this_hour,
            due_soon=soon,
            done_in_window=done,
            median_opened_at=await self._median(stock["open"]),
            oldest_opened_at=await self._one(NTH_OPENED, NO_BUCKET, self.gate, 0),
        )

    async def _median(self, count: int) -> datetime | None:
        """When the middle one of the open items opened: the mean of the middle two of an even number."""
        if not count:
            return None
        rows = await self.connection.fetch(
            SUMS_BY_BUCKET, self.site, [measures.OPEN_SINCE], NO_BUCKET, _FOREVER, self.gate, None, None
        )
        days = sorted((row["bucket"], row["amount"]) for row in rows)
        low, high = await self._nth(days, (count - 1) // 2), await self._nth(days, count // 2)
        return None if low is None or high is None else low + (high - low) / 2

    async def _nth(self, days: Sequence[tuple[datetime, int]], place: int) -> datetime | None:
        for day, amount in days:
            if place < amount:
                found: datetime | None = await self._one(NTH_OPENED, day, self.gate, place)
                return found
            place -= amount
        return None

    async def overdue(self) -> list[OverdueItem]:
        rows = await self.connection.fetch(TOP_OVERDUE, self.site, self.now, self.gate)
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
    seen = await board.look(wanted.window_days, wanted.due_soon_hours)
    assigned = await board.assigned()
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


async def latest_kpi(read: Read, _params: Nothing) -> KpiRun:
    """The newest run in the site. Raises `NotFound`."""
    run = await latest(read.pool, read.site, KPI_JOB)
    if run is None or run.status == "failed":
        raise NotFound("The KPIs have not been taken in this site yet; take them with POST …/tracker/kpi/run.")
    return KpiRun.model_validate(envelope(run))


async def get_series(read: Read, wanted: SeriesFilter) -> KpiSeries:
    """A row for each day, today's as far as it has come."""
    start = day_of(read.now) - timedelta(days=wanted.days - 1)
    chosen = (wanted.gate, wanted.owner_role, wanted.rule_id)
    async with read.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        flows = await connection.fetch(SUMS_BY_BUCKET, read.site, list(measures.FLOW), start, _FOREVER, *chosen)
        owned = await connection.fetch(SUMS_BY_OWNER, read.site, ["open"], NO_BUCKET, _FOREVER, *chosen)
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


async def fold(tx: Tx) -> None:
    """Add what has changed to the totals. Nobody is told: nothing is another than it was."""
    if await tx.connection.fetchval(FOLD, FOLDED_AT_ONCE):
        await tx.connection.execute(FORGET_ZEROS)


async def sites_with_boards(connection: Connection) -> list[str]:
    """Every site that has a board, sorted."""
    return [row["site"] for row in await connection.fetch(SITES)]


TABLE = Table(
    commands={contract.run_kpi: run_kpi},
    queries={
        contract.get_kpi: get_kpi,
        contract.latest_kpi: latest_kpi,
        contract.get_series: get_series,
    },
    jobs=(
        Job(KPI_JOB, Schedule("50 * * * *"), run_hourly, sites_with_boards),
        Job("fold_kpi", Schedule("*/5 * * * *"), fold),
    ),
)
