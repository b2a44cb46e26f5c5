"""Rules over past verdicts that could shut a gate for good: while such a rule fails, every verdict is NO_GO."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.judge.history import KIND, MAX_RUNS, PastRun, totals
from libs.judge.policy_model import Policy, Rule

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Tried are histories of nothing but NO_GO: what a rule that fails makes of any history in the end. Where each version
# has its own, one that is new begins without any.
_COUNTS = (1, 2, 3, 5, 10, 20, MAX_RUNS)
_HOURS = (0, 1, 2, 4, 8, 12, 24, 48, 72, 168, 336, 720, 2_160, 8_760)
_SCORES: tuple[tuple[float, float], ...] = ((0.0, 0.0), (99.0, 0.0), (50.0, 0.5))  # of the newest, and the rise to it


def cautions(policy: Policy) -> tuple[str, ...]:
    """A sentence for each rule that, once it fails, may never pass again. It forbids nothing."""
    return tuple(
        f"{policy.file or policy.name}: rule {rule.id}: once it fails it may never pass again, since every verdict is "
        "NO-GO then and no row of NO-GOs passes it; let it pass by time (derived.hours_since_last_no_go), or make it "
        "advisory"
        for rule in policy.rules
        if rule.kind == KIND and rule.required and rule.mode == "enforce" and not _recovers(policy, rule)
    )


def _recovers(policy: Policy, rule: Rule) -> bool:
    begins_anew = rule.scope == "version"
    if begins_anew and rule.passes_at_first:
        return True
    return any(
        _passes(policy, rule, count, hours, score, rise)
        for count in (_COUNTS if begins_anew else _COUNTS[-1:])
        for hours in _HOURS
        for score, rise in _SCORES
    )


def _passes(policy: Policy, rule: Rule, count: int, hours: int, score: float, rise: float) -> bool:
    runs = [
        PastRun(count - back, "1.0", "", "no_go", score - rise * back, _NOW - timedelta(hours=hours + back))
        for back in range(count)
    ]
    visible: dict[str, Any] = {
        "fact": {},
        "parts": [],
        "baseline": {"exists": False, "run": 0},
        "params": policy.parameters,
        "derived": totals(runs, _NOW),
    }
    return rule.condition.evaluate(visible).passed
