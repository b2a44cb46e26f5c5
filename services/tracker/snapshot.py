"""How a site stands: what a run of the escalation keeps beside its candidates."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from libs.common.service import Connection

COUNT_SITE = """
SELECT count(*) AS total_items,
    count(*) FILTER (WHERE status <> 'done') AS open_items,
    count(*) FILTER (WHERE status = 'pending') AS pending_count,
    count(*) FILTER (WHERE status = 'in_progress') AS in_progress_count,
    count(*) FILTER (WHERE status = 'done') AS done_count,
    count(*) FILTER (WHERE status = 'blocked') AS blocked_count,
    count(*) FILTER (WHERE status <> 'done' AND paused_at IS NULL AND due_at < $2) AS overdue_count,
    count(*) FILTER (WHERE status <> 'done' AND paused_at IS NULL AND due_at BETWEEN $2 AND $3 AND $3 > $2)
        AS due_soon_count,
    count(*) FILTER (WHERE status <> 'done' AND rule_status = 'fail' AND required) AS critical_open_count,
    count(*) FILTER (WHERE status <> 'done' AND assignee IS NULL) AS unassigned_open_count
FROM item WHERE site = $1 AND is_active
"""


async def snapshot(connection: Connection, site: str, hours: int, now: datetime) -> dict[str, Any]:
    """Counts of a site's active items; ``hours`` is how soon due soon is."""
    row = await connection.fetchrow(COUNT_SITE, site, now, now + timedelta(hours=hours))
    metrics = dict(row) if row is not None else {}
    done, total = metrics.get("done_count", 0), metrics.get("total_items", 0)
    rate = round(100 * done / total) if total else 100
    return {"due_soon_hours": hours, "metrics": {**metrics, "completion_rate_percent": rate}}
