"""Metrics' table of contents: how fast the HTTP API is, and what the jobs of all services did."""

from __future__ import annotations

from libs.common.contracts.metrics import CONTRACT
from libs.common.service import Service
from services.metrics import job_runs, latency

SERVICE = Service.of(
    CONTRACT,
    latency.TABLE,
    job_runs.TABLE,
)
