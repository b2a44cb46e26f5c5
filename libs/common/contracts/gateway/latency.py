"""Latency samples: many small messages on a stream of their own, neither audited nor kept long."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import Event, Open, Time

MAX_ROUTES = 200
SLOW_MS = 450
CRITICAL_MS = 900
# A bucket holds what is >= the bound before it and < its own; one more is open above. SLOW_MS and CRITICAL_MS are
# bounds, so "slow" is counted exactly. Other bounds need a new version of the event and of the table.
BOUNDS_MS: tuple[float, ...] = (
    1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 750, 900,
    1200, 1500, 2000, 3000, 5000, 10000, 30000,
)  # fmt: skip

Count = Annotated[int, Field(ge=0, lt=2**31)]


class RouteLatency(Open):
    """Requests of one route in one window: ``counts`` per bucket; ``error_count``: those with a status >= 500."""

    method: Annotated[str, StringConstraints(min_length=1, max_length=10)]
    route: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    counts: Annotated[list[Count], Field(min_length=len(BOUNDS_MS) + 1, max_length=len(BOUNDS_MS) + 1)]
    error_count: Count
    sum_ms: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _errors_are_requests(self) -> Self:
        if self.error_count > sum(self.counts):
            raise ValueError("error_count is larger than the number of requests")
        return self


class LatencySampled(Open):
    """What one process answered in a window of ``window_s`` seconds from ``window_started_at`` on."""

    instance: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    window_started_at: Time
    window_s: float = Field(ge=0, le=86_400)
    bounds_ms: tuple[float, ...]
    routes: Annotated[list[RouteLatency], Field(max_length=MAX_ROUTES)]

    @model_validator(mode="after")
    def _known_bounds(self) -> Self:
        if self.bounds_ms != BOUNDS_MS:
            raise ValueError("bounds_ms are not those of this version, so the buckets can't be merged")
        return self


latency_sampled = Event(
    "gateway.latency.sampled",
    data=LatencySampled,
    stream="telemetry",
    summary="Latency of one process in 10 seconds",
)
