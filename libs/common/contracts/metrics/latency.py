"""How fast and how reliably Headgate's own HTTP API answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Model, Open, Query, Time

Health = Literal["ok", "warning", "critical", "no_data"]


class LatencyWindow(Model):
    window_minutes: int = Field(60, ge=5, le=1440, description="How far back to look")


class EndpointLatency(Open):
    """One route template. ``error_count``: status >= 500; ``slow_count``: 450 ms or longer, counted exactly.

    Percentiles are estimates, interpolated inside histogram buckets: off by at most the width of the bucket, which is
    the ``…_error_ms`` beside each; null in the last bucket, from 30 s on, which has no end. The status goes by p95
    (warning 450 ms, critical 900 ms); fewer than 8 requests are ``no_data``. ``watched``: it counts for the whole.
    """

    endpoint_key: str
    method: str
    route: str
    sample_count: int
    error_count: int
    slow_count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p50_error_ms: float | None = None
    p95_error_ms: float | None = None
    p99_error_ms: float | None = None
    last_sample_at: Time | None = None
    watched: bool = True
    status: Health
    message: str


class BurnRate(Open):
    """How fast the error budget is spent in two windows: 1.0 spends exactly what the objectives allow.

    A rate is the larger of error share / 1 % and slow share / 5 %. Both windows must reach 2 for a warning, 10 for
    critical; fewer than 8 requests in either window are ``no_data``. Routes of those who
    only look whether all is well, such as ``/readyz`` and ``/metrics``, do not count.
    """

    short_window_minutes: int
    long_window_minutes: int
    short_sample_count: int
    long_sample_count: int
    short_burn_rate: float | None
    long_burn_rate: float | None
    error_slo_percent: float
    latency_slo_percent: float
    slow_threshold_ms: int
    status: Health
    message: str


class ApiLatency(Open):
    """Routes that had requests in the window, and those that `HEADGATE_WATCHED_ROUTES` names in full.

    ``status`` is the worst of the watched routes and of the burn rate: critical, warning, no_data, ok.
    """

    generated_at: Time
    window_minutes: int
    status: Health
    endpoints: list[EndpointLatency]
    burn_rate: BurnRate


api_latency = Query(
    "metrics.latency.get",
    params=LatencyWindow,
    result=ApiLatency,
    permission="metrics:read",
    http=GET("/api/ops/performance/api-latency"),
    summary="Latency and error budget of the HTTP API",
    sited=False,
)
