"""Series of the notifier: attempts as they are made, and how many deliveries wait, and since when."""

from __future__ import annotations

from typing import get_args
from weakref import WeakKeyDictionary

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from libs.common.contracts.notifier.channels import WEBHOOK, Kind

ATTEMPTS = Counter("headgate_delivery_attempts", "Attempts to deliver, by what became of them", ["channel", "state"])
ATTEMPT_DURATION = Histogram(
    "headgate_delivery_duration_seconds",
    "Time from sending to answer",
    ["channel"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CHANNELS = (WEBHOOK, *get_args(Kind))
for _channel in CHANNELS:
    for _state in ("delivered", "retrying", "dead"):
        ATTEMPTS.labels(_channel, _state)

# Only what is open: that is read off the index of what is due, and of what is dead.
COUNT_OPEN = """
SELECT coalesce(kind, 'webhook') AS channel, state, count(*) AS count,
    extract(epoch FROM now() - min(due_at) FILTER (WHERE coalesce(subscription.status, 'active') = 'active'
        AND coalesce(channel.status, 'active') = 'active'))::float8 AS age_s
FROM delivery LEFT JOIN subscription USING (subscription_id)
LEFT JOIN channel ON channel.channel_id = delivery.channel_id
WHERE due_at IS NOT NULL GROUP BY kind, state
"""
STATES = ("pending", "delivering", "retrying")

_GAUGES: WeakKeyDictionary[CollectorRegistry, tuple[Gauge, Gauge]] = WeakKeyDictionary()


def _gauges(registry: CollectorRegistry) -> tuple[Gauge, Gauge]:
    known = _GAUGES.get(registry)
    if known is None:
        known = _GAUGES[registry] = (
            Gauge(
                "headgate_deliveries_open", "Deliveries that wait or are sent", ["channel", "state"], registry=registry
            ),
            Gauge(
                "headgate_delivery_oldest_age_seconds",
                "How long the first attempt of a delivery has been due, but for those that are paused",
                ["channel"],
                registry=registry,
            ),
        )
    return known


async def measure(pool: asyncpg.Pool, registry: CollectorRegistry) -> None:
    """Set the gauges from the database, over all sites."""
    rows = await pool.fetch(COUNT_OPEN)
    open_, oldest = _gauges(registry)
    for channel in CHANNELS:
        for state in STATES:
            open_.labels(channel, state).set(0)
        oldest.labels(channel).set(0)
    for row in rows:
        open_.labels(row["channel"], row["state"]).set(row["count"])
        if row["state"] == "pending":
            oldest.labels(row["channel"]).set(max(row["age_s"] or 0.0, 0.0))
