"""How fast an error budget is spent, and what is left of it: multi-window, multi-burn-rate alerts. Pure.

Google's SRE workbook, chapter "Alerting on SLOs", section 6: the long window says that it matters, the short one that
it still goes on, so both must be above the factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from libs.slo.model import Objective, why_never

Severity = Literal["page", "ticket"]
Status = Literal["page", "spent", "ticket", "no_data", "ok"]
WORST_FIRST: tuple[Status, ...] = ("page", "spent", "ticket", "no_data", "ok")

MIN_SAMPLES = 8  # in the long window of an alert, and in the hour without which nothing is ok
HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Pair:
    """An alert: both windows (minutes) burn faster than ``factor``."""

    severity: Severity
    short_minutes: int
    long_minutes: int
    factor: float


PAIRS = (
    Pair("page", 5, 60, 14.4),
    Pair("page", 30, 360, 6),
    Pair("ticket", 120, 1_440, 3),
    Pair("ticket", 360, 4_320, 1),
)
WINDOWS = tuple(sorted({minutes for pair in PAIRS for minutes in (pair.short_minutes, pair.long_minutes)}))


@dataclass(frozen=True, slots=True)
class Count:
    """How many requests there were, and how many of them were bad."""

    total: int = 0
    bad: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.total + other.total, self.bad + other.bad)

    def burn_rate(self, budget: float) -> float | None:
        """How many times faster than allowed; 1 spends exactly the budget. None without requests."""
        return self.bad / self.total / budget if self.total else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An objective at a moment. ``firing``: which of `PAIRS`. ``left_percent``: of the period's budget, below 0 where

    more was spent; None with too few requests to say.
    """

    status: Status
    message: str
    firing: tuple[bool, ...]
    left_percent: float | None


def window_text(minutes: int) -> str:
    """``5m``, ``6h``, ``3d``."""
    if minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def fires(pair: Pair, windows: Mapping[int, Count], budget: float) -> bool:
    """Both windows burn faster than the factor, and the long one has requests enough to say so."""
    long, short = windows[pair.long_minutes], windows[pair.short_minutes]
    rates = long.burn_rate(budget), short.burn_rate(budget)
    return long.total >= MIN_SAMPLES and all(rate is not None and round(rate, 9) > pair.factor for rate in rates)


def judge(objective: Objective, windows: Mapping[int, Count], period: Count) -> Standing:
    """How an objective stands, by its requests in each of `WINDOWS` and in its period. Too few are never ok."""
    firing = tuple(fires(pair, windows, objective.budget) for pair in PAIRS)
    left = None
    if period.total >= MIN_SAMPLES:
        left = 100 * (1 - period.bad / (period.total * objective.budget))
    first = next((pair for pair, fire in zip(PAIRS, firing, strict=True) if fire), None)
    kept = "" if left is None else f"; {left:.1f} % of the budget of {objective.period.text} is left"
    hour = windows[HOUR_MINUTES].total
    if first is not None and first.severity == "page":
        return Standing("page", _burning(first, windows, objective) + kept, firing, left)
    if left is not None and left <= 0:
        said = f"The budget of {objective.period.text} is spent: {period.bad} of {period.total} requests were bad"
        return Standing("spent", said, firing, left)
    if first is not None:
        return Standing("ticket", _burning(first, windows, objective) + kept, firing, left)
    if hour < MIN_SAMPLES:
        if not period.total and (never := objective.indicator.never_counted):
            return Standing("no_data", f"Nothing was counted: {why_never(never)}", firing, left)
        return Standing("no_data", f"{hour} requests in the last hour; {MIN_SAMPLES} are needed to judge", firing, left)
    return Standing("ok", f"No alert burns{kept}", firing, left)


def _burning(pair: Pair, windows: Mapping[int, Count], objective: Objective) -> str:
    rates = [(windows[minutes].burn_rate(objective.budget) or 0.0, window_text(minutes))
             for minutes in (pair.short_minutes, pair.long_minutes)]  # fmt: skip
    shown = " and ".join(f"{rate:.1f} over {text}" for rate, text in rates)
    return f"The budget burns {shown} times as fast as allowed, both above {pair.factor:g}"


def worst(statuses: Sequence[Status]) -> Status:
    """page, spent, ticket, no_data, ok; nothing at all is no_data."""
    return min(statuses, key=WORST_FIRST.index, default="no_data")
