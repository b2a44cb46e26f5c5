"""Metrics: how fast and how reliably Headgate itself answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Contract, Model, Open, Query, Time
from libs.common.contracts.common import (
    dead_letter_commands,
    dead_letter_events,
    dead_letter_queries,
    outcome_query,
)

Health = Literal["ok", "warning", "critical", "no_data"]


class LatencyWindow(Model):
    window_minutes: int = Field(60, ge=5, le=1440)


class EndpointLatency(Open):
    """One route; percentiles are read off histogram buckets, so they are upper bounds."""

    endpoint_key: str
    method: str
    route: str
    sample_count: int
    error_count: int
    slow_count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    status: Health
    message: str


class BurnRate(Open):
    """Error budget spent per unit of budget in two windows; both must exceed a threshold to raise the status."""

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

CONTRACT = Contract(
    "metrics",
    commands=dead_letter_commands("metrics"),
    queries=(api_latency, outcome_query("metrics"), *dead_letter_queries("metrics")),
    events=dead_letter_events("metrics"),
)
