"""Series of the tracker: active items by gate and status, and how many are overdue."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

COUNT_ACTIVE = """
SELECT gate, status, count(*) AS active,
    count(*) FILTER (WHERE status <> 'done' AND paused_at IS NULL AND due_at < now()) AS overdue
FROM item WHERE is_active GROUP BY gate, status
"""

_GAUGES: WeakKeyDictionary[CollectorRegistry, tuple[Gauge, Gauge]] = WeakKeyDictionary()


def _gauges(registry: CollectorRegistry) -> tuple[Gauge, Gauge]:
    known = _GAUGES.get(registry)
    if known is None:
        known = _GAUGES[registry] = (
            Gauge("headgate_open_items", "Active remediation items", ["gate", "status"], registry=registry),
            Gauge("headgate_overdue_items", "Active items past their due time", ["gate"], registry=registry),
        )
    return known


async def refresh(pool: asyncpg.Pool, registry: CollectorRegistry) -> None:
    """Set ``headgate_open_items`` and ``headgate_overdue_items`` from the database, over all sites."""
    rows = await pool.fetch(COUNT_ACTIVE)
    open_items, overdue_items = _gauges(registry)
    open_items.clear()
    overdue_items.clear()
    for row in rows:
        open_items.labels(row["gate"], row["status"]).set(row["active"])
        overdue_items.labels(row["gate"]).inc(row["overdue"])
