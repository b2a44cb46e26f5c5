"""Metrics: how fast and how reliably Headgate itself answers."""

from __future__ import annotations

from libs.common.contracts.collect import collect

CONTRACT = collect(__name__, hears=("gateway.latency.sampled",))
