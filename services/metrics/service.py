"""Metrics' table of contents: how fast the HTTP API is, its SLOs, and what the jobs of all services did."""

from __future__ import annotations

from libs.common.contracts.metrics import CONTRACT
from libs.common.service import Service
from libs.slo.model import Objective
from services.metrics import job_runs, latency, slo
from services.metrics.domain.watched import EVERYTHING, Watched
from services.metrics.startup import packaged_slos


def make_service(objectives: tuple[Objective, ...], watched: Watched = EVERYTHING) -> Service:
    """The service that judges these SLOs and watches these routes."""
    return Service.of(CONTRACT, latency.table(watched), slo.table(objectives), job_runs.TABLE)


SERVICE = make_service(packaged_slos())
