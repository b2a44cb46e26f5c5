"""Rates of deliveries and attempts, from sums. Of nothing there is no rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUMS = (
    "delivered_count",
    "failed_count",
    "retrying_count",
    "suppressed_count",
    "attempt_count",
    "failed_attempt_count",
    "answered_count",
    "took_ms",
)


def percent(part: float, whole: float) -> float | None:
    """``part`` of ``whole`` in percent, to two places; None of nothing. Never 100 if anything is missing."""
    if not whole:
        return None
    rounded = round(100 * part / whole, 2)
    return min(rounded, 99.99) if part < whole else rounded


def figures(sums: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a target from its `SUMS`. What is suppressed has not failed, and counts in no rate."""
    tried = sums["delivered_count"] + sums["failed_count"] + sums["retrying_count"]
    attempts = sums["attempt_count"]
    shown = {name: sums[name] for name in SUMS if name not in ("answered_count", "took_ms")}
    return shown | {
        "success_rate_percent": percent(sums["delivered_count"], tried),
        "attempt_success_rate_percent": percent(attempts - sums["failed_attempt_count"], attempts),
        "latency_ms": round(sums["took_ms"] / sums["answered_count"], 3) if sums["answered_count"] else None,
    }
