"""Counts how long a process takes to answer, in memory: one histogram a route, sent away every ten seconds."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.gateway.latency import BOUNDS_MS, MAX_ROUTES, LatencySampled, RouteLatency, latency_sampled
from libs.common.ids import uuid7

WINDOW_S = 10.0
OTHER = ("*", "(other)")


@dataclass(slots=True)
class _Route:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    error_count: int = 0
    sum_ms: float = 0.0


class LatencyRecorder:
    """Histograms of the running window, for one event loop. At most `MAX_ROUTES` routes; the rest count as (other)."""

    def __init__(self, instance: str = "") -> None:
        self._instance = instance or f"gateway-{secrets.token_hex(4)}"
        self._routes: dict[tuple[str, str], _Route] = {}
        self._since: datetime | None = None

    def record(self, method: str, route: str, status: int, duration_ms: float) -> None:
        """Count one answer. ``route`` is the template, never the path: ids would make a route of every item."""
        key = (method[:10] or "-", route[:200] or "-")
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= MAX_ROUTES - 1:
                key = OTHER
            found = self._routes.setdefault(key, _Route())
        duration_ms = max(duration_ms, 0.0)  # a clock that was set back is no reason to lose the request
        found.counts[bisect_right(BOUNDS_MS, duration_ms)] += 1
        found.error_count += status >= 500
        found.sum_ms += duration_ms

    def sample(self, now: datetime) -> LatencySampled | None:
        """What was counted since the last call, and begin anew; None if that is nothing.

        The first window is taken to be the usual one long.
        """
        since, self._since = self._since, now
        if since is None or not timedelta() <= now - since <= timedelta(days=1):
            since = now - timedelta(seconds=WINDOW_S)
        routes, self._routes = self._routes, {}
        if not routes:
            return None
        return LatencySampled(
            instance=self._instance,
            window_started_at=since,
            window_s=(now - since).total_seconds(),
            bounds_ms=BOUNDS_MS,
            routes=[
                RouteLatency(
                    method=method, route=route, counts=one.counts, error_count=one.error_count, sum_ms=one.sum_ms
                )
                for (method, route), one in routes.items()
            ],
        )

    def drain(self, now: datetime) -> bytes | None:
        """`sample` as an encoded `latency_sampled` event, ready for the telemetry stream."""
        sampled = self.sample(now)
        if sampled is None:
            return None
        event = CloudEvent(
            id=str(uuid7()),
            source=f"/headgate/{latency_sampled.service}",
            type=latency_sampled.type,
            subject=sampled.instance,
            time=now,
            actor=f"service:{latency_sampled.service}",
        )
        return event.encode(sampled.model_dump_json().encode())
