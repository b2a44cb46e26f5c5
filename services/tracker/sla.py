"""How the open items of a gate or a board stand against their deadlines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common.contracts.tracker import sla as contract
from libs.common.contracts.tracker.sla import SLA_RULES, RiskItem, Sla, SlaFilter, SlaMetrics
from libs.common.service import Connection, Read, Table
from libs.common.versions import table

# What "open" and "overdue" mean: as `is_overdue` of services.tracker.domain.item says.
_OPEN = "status <> 'done'"
_RUNNING = f"{_OPEN} AND paused_at IS NULL"
_UNASSIGNED = "unassigned"
MAX_ASSIGNEES = 1000


def _statement(scope: str) -> str:
    """Counts, open items by assignee, and the ten of most risk, in one statement over indexes of active items."""
    return f"""
WITH counted AS (
    SELECT count(*) AS total_items,
        count(*) FILTER (WHERE {_OPEN}) AS open_items,
        count(*) FILTER (WHERE status = 'pending') AS pending_count,
        count(*) FILTER (WHERE status = 'in_progress') AS in_progress_count,
        count(*) FILTER (WHERE status = 'done') AS done_count,
        count(*) FILTER (WHERE status = 'blocked') AS blocked_count,
        count(*) FILTER (WHERE {_RUNNING} AND due_at < $3) AS overdue_count,
        count(*) FILTER (WHERE {_RUNNING} AND due_at >= $3 AND due_at <= $4) AS due_soon_count,
        count(*) FILTER (WHERE {_OPEN} AND rule_status = 'fail' AND required) AS critical_open_count,
        count(*) FILTER (WHERE {_OPEN} AND assignee IS NULL) AS unassigned_open_count,
        count(*) FILTER (WHERE {_OPEN} AND paused_at IS NOT NULL) AS paused_count,
        count(*) FILTER (WHERE {_RUNNING} AND due_at IS NULL) AS no_sla_count
    FROM item WHERE {scope} AND is_active
), held AS (
    SELECT coalesce(assignee, '{_UNASSIGNED}') AS who, count(*) AS items
    FROM item WHERE {scope} AND is_active AND {_OPEN}
    GROUP BY who ORDER BY items DESC, who LIMIT {MAX_ASSIGNEES}
), risky AS (
    SELECT id, item_id, rule_id, subject, rule_status, required, priority, assignee, status, due_at, paused_at
    FROM item WHERE {scope} AND is_active AND {_OPEN}
    ORDER BY priority, due_order, id LIMIT 10
)
SELECT counted.*,
    (SELECT coalesce(jsonb_object_agg(who, items), '{{}}') FROM held) AS held,
    (SELECT coalesce(jsonb_agg(risky ORDER BY priority, due_at NULLS LAST, id), '[]') FROM risky) AS risky
FROM counted
"""  # noqa: S608 - parts of our own


SLA_OF_SITE = _statement("site = $1 AND $2::text IS NULL")
SLA_OF_GATE = _statement("site = $1 AND gate = $2")
SLA_OF_BOARD = _statement("site = $1 AND gate = $2 AND subject = $5")


async def get_sla(read: Read, params: SlaFilter) -> Sla:
    """Counts of a gate's items, or of one subject's, with those of most risk."""
    return await standing(read.pool, read.site, read.now, params.due_soon_hours, params.gate, params.subject)


async def standing(
    source: Connection | asyncpg.Pool,
    site: str,
    now: datetime,
    due_soon_hours: int,
    gate: str | None = None,
    subject: str | None = None,
) -> Sla:
    """The same of a whole site where there is no ``gate``."""
    # Nothing is due soon within no hours: then the span is empty.
    values = (site, gate, now, now + timedelta(hours=due_soon_hours or -1))
    if gate is None:
        row = await source.fetchrow(SLA_OF_SITE, *values)
    elif subject is None:
        row = await source.fetchrow(SLA_OF_GATE, *values)
    else:
        row = await source.fetchrow(SLA_OF_BOARD, *values, subject)
    assert row is not None  # noqa: S101 - counts always make a row
    counts = {name: value for name, value in row.items() if name not in ("held", "risky")}
    total, done = counts["total_items"], counts["done_count"]
    return Sla(
        generated_at=now,
        due_soon_hours=due_soon_hours,
        metrics=SlaMetrics(**counts, completion_rate_percent=round(100 * done / total) if total else 100),
        assignee_open_counts=row["held"],
        top_risk_items=[_risk(one, now) for one in row["risky"]],
    )


def _risk(row: dict[str, Any], now: datetime) -> RiskItem:
    due = datetime.fromisoformat(row["due_at"]) if row["due_at"] is not None else None
    minutes = (due - now).total_seconds() // 60 if due is not None else None
    return RiskItem(**{**row, "due_at": due, "minutes_until_due": int(minutes) if minutes is not None else None})


TABLE = Table(queries={contract.get_sla: get_sla})
RULES = table(SLA_RULES)
