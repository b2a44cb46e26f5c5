"""Metrics' table of contents: latency histograms in, the state of the HTTP API out."""

from __future__ import annotations

from libs.common.contracts.metrics import CONTRACT
from libs.common.service import Service
from services.metrics import latency

SERVICE = Service.of(
    CONTRACT,
    latency.TABLE,
)
