"""Metrics: how fast and how reliably Headgate itself answers, and what its jobs did."""

from __future__ import annotations

from libs.common.contracts.collect import collect
from libs.common.roster import SERVICES

CONTRACT = collect(
    __name__,
    hears=(
        "gateway.latency.sampled",
        "governance.gate.decided",
        *(f"{service}.job.finished" for service in SERVICES),
    ),
    sends=("governance.signal.record",),
    asks=("gateway.sites.every",),
)
