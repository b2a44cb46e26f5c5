"""How far the clocks of services differ, from how far each runs ahead of the database's."""

from __future__ import annotations

from collections.abc import Mapping

SPREAD_WARNING_MS, SPREAD_ERROR_MS = 1_000.0, 5_000.0


def spread(offsets_ms: Mapping[str, float]) -> tuple[str, str]:
    """``ok``, ``warning`` or ``error`` and a sentence that names the two clocks furthest apart."""
    if len(offsets_ms) < 2:
        return "ok", "fewer than two clocks are known"
    ahead = max(offsets_ms, key=lambda name: offsets_ms[name])
    behind = min(offsets_ms, key=lambda name: offsets_ms[name])
    apart = offsets_ms[ahead] - offsets_ms[behind]
    shown = f"the clock of {ahead} runs {apart:.0f} ms ahead of that of {behind}"
    if apart >= SPREAD_ERROR_MS:
        return "error", f"{shown}: of what both note, nobody knows the order; synchronise them (NTP)"
    return ("warning", f"{shown}; synchronise them (NTP)") if apart >= SPREAD_WARNING_MS else ("ok", shown)
