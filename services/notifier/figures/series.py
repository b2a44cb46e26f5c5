"""Series of the notifier: attempts as they are made, how many deliveries wait and since when, and circuits."""

from __future__ import annotations

from dataclasses import dataclass
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
    ATTEMPT_DURATION.labels(_channel)
    for _state in ("delivered", "retrying", "dead"):
        ATTEMPTS.labels(_channel, _state)

# Only what is open: that is read off the indexes of what is due, and of what is held back.
COUNT_OPEN = """
SELECT coalesce(kind, 'webhook') AS channel, state, count(*) AS count,
    extract(epoch FROM now() - min(delivery.due_at) FILTER (WHERE coalesce(subscription.status, 'active') = 'active'
        AND coalesce(channel.status, 'active') = 'active'))::float8 AS age_s
FROM delivery LEFT JOIN subscription USING (subscription_id)
LEFT JOIN channel ON channel.channel_id = delivery.channel_id
WHERE due_at IS NOT NULL GROUP BY kind, state
UNION ALL
SELECT coalesce(kind, 'webhook'), state, count(*),
    extract(epoch FROM now() - min(suppressed_at) FILTER (WHERE coalesce(subscription.status, 'active') = 'active'
        AND coalesce(channel.status, 'active') = 'active'))::float8
FROM delivery LEFT JOIN subscription USING (subscription_id)
LEFT JOIN channel ON channel.channel_id = delivery.channel_id
WHERE state = 'suppressed' GROUP BY kind, state
"""
COUNT_CIRCUITS = "SELECT state, count(*) AS count FROM circuit WHERE state <> 'closed' GROUP BY state"
STATES = ("pending", "delivering", "retrying", "suppressed")
CIRCUITS = ("open", "half_open", "releasing")


@dataclass(frozen=True, slots=True)
class _Gauges:
    open: Gauge
    oldest: Gauge
    held_back: Gauge
    circuits: Gauge


_GAUGES: WeakKeyDictionary[CollectorRegistry, _Gauges] = WeakKeyDictionary()


def _gauges(registry: CollectorRegistry) -> _Gauges:
    known = _GAUGES.get(registry)
    if known is None:
        known = _GAUGES[registry] = _Gauges(
            Gauge(
                "headgate_deliveries_open",
                "Deliveries that wait, are sent or are held back",
                ["channel", "state"],
                registry=registry,
            ),
            Gauge(
                "headgate_delivery_oldest_age_seconds",
                "How long the first attempt of a delivery has been due, but for those that are paused",
                ["channel"],
                registry=registry,
            ),
            Gauge(
                "headgate_delivery_held_back_age_seconds",
                "How long the oldest delivery has been held back while its target fails; it is given up after 17 hours",
                ["channel"],
                registry=registry,
            ),
            Gauge(
                "headgate_circuits",
                "Targets that are left alone at a type of event since they fail at it",
                ["state"],
                registry=registry,
            ),
        )
    return known


async def measure(pool: asyncpg.Pool, registry: CollectorRegistry) -> None:
    """Set the gauges from the database, over all sites."""
    rows, circuits = await pool.fetch(COUNT_OPEN), await pool.fetch(COUNT_CIRCUITS)
    gauges = _gauges(registry)
    for channel in CHANNELS:
        for state in STATES:
            gauges.open.labels(channel, state).set(0)
        gauges.oldest.labels(channel).set(0)
        gauges.held_back.labels(channel).set(0)
    ages = {"pending": gauges.oldest, "suppressed": gauges.held_back}
    for row in rows:
        gauges.open.labels(row["channel"], row["state"]).set(row["count"])
        if row["state"] in ages:
            ages[row["state"]].labels(row["channel"]).set(max(row["age_s"] or 0.0, 0.0))
    counts = {row["state"]: row["count"] for row in circuits}
    for state in CIRCUITS:
        gauges.circuits.labels(state).set(counts.get(state, 0))
