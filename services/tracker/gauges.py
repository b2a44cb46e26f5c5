"""Series of the tracker: active items by gate and status, and how many are overdue."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

from services.tracker.board import SITES

_COUNTED = """
SELECT gate, CASE WHEN measure IN ('due', 'due_on') THEN 'overdue' ELSE measure END AS measure, amount
FROM {table} AS sums WHERE sums.site = sites.site AND (
    measure IN ('pending', 'in_progress', 'blocked', 'done')
    OR measure = 'due_on' AND bucket < day OR measure = 'due' AND bucket >= day AND bucket < hour
)
"""
# Every few seconds, so off the sums, a site at a time: counting the items themselves would read them all. What is due
# in this very hour a sum can't tell.
COUNT_ACTIVE = f"""
WITH RECURSIVE {SITES},
clock AS (SELECT now() AS now, date_trunc('hour', now(), 'UTC') AS hour, date_trunc('day', now(), 'UTC') AS day)
SELECT gate, measure, sum(amount)::bigint AS amount FROM sites, clock, LATERAL (
    {_COUNTED.format(table="kpi_total")} UNION ALL {_COUNTED.format(table="kpi_delta")} UNION ALL
    SELECT gate, 'overdue', 1 FROM item
    WHERE item.site = sites.site AND is_active AND status <> 'done' AND paused_at IS NULL
        AND due_at >= hour AND due_at < now
) AS found
GROUP BY gate, measure
"""  # noqa: S608 - our own text

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
        overdue_items.labels(row["gate"])  # a gate without any shows 0
        if row["measure"] == "overdue":
            overdue_items.labels(row["gate"]).set(row["amount"])
        elif row["amount"]:
            open_items.labels(row["gate"], row["measure"]).set(row["amount"])
