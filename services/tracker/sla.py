"""How the open items of a site, a gate or a board stand against their deadlines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from libs.common.contracts.tracker import sla as contract
from libs.common.contracts.tracker.sla import SLA_RULES, RiskItem, Sla, SlaFilter, SlaMetrics
from libs.common.service import Connection, Read, Table
from libs.common.versions import table
from services.tracker.kpi import count

# What "open" and "overdue" mean: as `is_overdue` of services.tracker.domain.item says.
_OPEN = "status <> 'done'"
_RUNNING = f"{_OPEN} AND paused_at IS NULL"
_UNASSIGNED = "unassigned"
MAX_ASSIGNEES = 1000
_RISK = "id, item_id, rule_id, subject, line, rule_status, required, priority, assignee, status, due_at, paused_at"
# Of a subject: of one line, or of all.
_OF_BOARD = "site = $1 AND gate = $2 AND subject = $3 AND ($4::text IS NULL OR line = $4)"
_MOST_RISK = "ORDER BY priority, due_order, id LIMIT 10"

# A board has as many items as its gate has rules: those are counted one by one.
COUNT_BOARD = f"""
SELECT count(*) AS total_items,
    count(*) FILTER (WHERE {_OPEN}) AS open_items,
    count(*) FILTER (WHERE status = 'pending') AS pending_count,
    count(*) FILTER (WHERE status = 'in_progress') AS in_progress_count,
    count(*) FILTER (WHERE status = 'done') AS done_count,
    count(*) FILTER (WHERE status = 'blocked') AS blocked_count,
    count(*) FILTER (WHERE {_RUNNING} AND due_at < $5) AS overdue_count,
    count(*) FILTER (WHERE {_RUNNING} AND due_at >= $5 AND due_at < $6) AS due_soon_count,
    count(*) FILTER (WHERE {_OPEN} AND rule_status = 'fail' AND required) AS critical_open_count,
    count(*) FILTER (WHERE {_OPEN} AND assignee IS NULL) AS unassigned_open_count,
    count(*) FILTER (WHERE {_OPEN} AND paused_at IS NOT NULL) AS paused_count,
    count(*) FILTER (WHERE {_RUNNING} AND due_at IS NULL) AS no_sla_count
FROM item WHERE {_OF_BOARD} AND is_active
"""  # noqa: S608 - parts of our own
HELD_OF_BOARD = f"""
SELECT coalesce(assignee, '{_UNASSIGNED}') AS who, count(*) AS items
FROM item WHERE {_OF_BOARD} AND is_active AND {_OPEN} GROUP BY who
"""  # noqa: S608
RISK_OF_BOARD = f"""
SELECT {_RISK} FROM item WHERE {_OF_BOARD} AND is_active AND {_OPEN} {_MOST_RISK}
"""  # noqa: S608
# Of each gate the ten of most risk, off its index, and of these the ten of the site: one step for each gate.
RISK_OF_SITE = f"""
WITH RECURSIVE gates AS (
    (SELECT gate FROM item WHERE site = $1 AND ($2::text IS NULL OR gate = $2) ORDER BY gate LIMIT 1)
    UNION ALL
    SELECT (SELECT item.gate FROM item WHERE site = $1 AND item.gate > gates.gate ORDER BY item.gate LIMIT 1)
    FROM gates WHERE gates.gate IS NOT NULL AND $2::text IS NULL
)
SELECT risk.* FROM gates, LATERAL (
    SELECT {_RISK}, due_order FROM item
    WHERE site = $1 AND item.gate = gates.gate AND is_active AND {_OPEN} {_MOST_RISK}
) AS risk {_MOST_RISK}
"""  # noqa: S608


async def get_sla(read: Read, params: SlaFilter) -> Sla:
    """Counts of a gate's items, or of one subject's, with those of most risk; all at one moment."""
    async with read.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        if params.subject is None:
            return await standing(connection, read.site, read.now, params.due_soon_hours, params.gate)
        board = (read.site, params.gate, params.subject, params.line)
        counts = await connection.fetchrow(COUNT_BOARD, *board, read.now, _until(read.now, params.due_soon_hours))
        assert counts is not None  # noqa: S101 - counts always make a row
        held = {row["who"]: row["items"] for row in await connection.fetch(HELD_OF_BOARD, *board)}
        risky = await connection.fetch(RISK_OF_BOARD, *board)
        return _sla(read.now, params.due_soon_hours, dict(counts), held, [dict(row) for row in risky])


async def standing(
    connection: Connection, site: str, now: datetime, due_soon_hours: int, gate: str | None = None
) -> Sla:
    """The same of a gate, or of a whole site where there is no ``gate``; counts are read from sums."""
    found = await count(connection, site, gate, now, until=_until(now, due_soon_hours), since=now)
    counts = {
        "total_items": found.stock.get("active", 0),
        "open_items": found.stock.get("open", 0),
        "overdue_count": found.overdue,
        "due_soon_count": found.due_soon,
        "paused_count": found.stock.get("paused_open", 0),
        "no_sla_count": found.stock.get("no_sla_open", 0),
    }
    for name in ("pending", "in_progress", "done", "blocked", "critical_open", "unassigned_open"):
        counts[f"{name}_count"] = found.stock.get(name, 0)
    held = dict(found.held)
    if counts["unassigned_open_count"]:
        held[_UNASSIGNED] = held.get(_UNASSIGNED, 0) + counts["unassigned_open_count"]
    risky = await connection.fetch(RISK_OF_SITE, site, gate)
    return _sla(now, due_soon_hours, counts, held, [dict(row) for row in risky])


def _until(now: datetime, due_soon_hours: int) -> datetime:
    """What is due before this is due soon: the last moment counts, and within no hours nothing is."""
    return now + timedelta(hours=due_soon_hours, microseconds=1) if due_soon_hours else now


def _sla(
    now: datetime,
    due_soon_hours: int,
    counts: Mapping[str, int],
    held: Mapping[str, int],
    risky: list[dict[str, Any]],
) -> Sla:
    total, done = counts["total_items"], counts["done_count"]
    most = sorted(held.items(), key=lambda one: (-one[1], one[0]))[:MAX_ASSIGNEES]
    return Sla(
        generated_at=now,
        due_soon_hours=due_soon_hours,
        metrics=SlaMetrics(**counts, completion_rate_percent=round(100 * done / total) if total else 100),
        assignee_open_counts=dict(sorted(most)),
        top_risk_items=[_risk(one, now) for one in risky],
    )


def _risk(row: dict[str, Any], now: datetime) -> RiskItem:
    due = row["due_at"]
    minutes = int((due - now).total_seconds() // 60) if due is not None else None
    return RiskItem(**row, minutes_until_due=minutes)


TABLE = Table(queries={contract.get_sla: get_sla})
RULES = table(SLA_RULES)
