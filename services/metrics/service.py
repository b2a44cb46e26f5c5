"""Metrics' table of contents: latency histograms in, the state of the HTTP API out."""

from __future__ import annotations

from datetime import timedelta

from libs.common.contracts.metrics import CONTRACT
from libs.common.contracts.metrics.latency import api_latency
from libs.common.contracts.telemetry import latency_sampled
from libs.common.service import Batch, Job, Service
from services.metrics import latency

SERVICE = Service(
    contract=CONTRACT,
    queries={api_latency: latency.get_latency},
    batch=Batch(latency.store, stream="telemetry", events=(latency_sampled,)),
    jobs=(Job("prune-latency", "0 7 * * * *", timedelta(hours=1), latency.prune),),
)
