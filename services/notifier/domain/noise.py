"""Rates of wrong and missed alerts, and what a review says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

WEEK = timedelta(days=7)

Standing = Literal["ok", "above", "no_data"]
Status = Literal["ok", "warning", "critical", "no_data"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many percent may be wrong, and missed; a rate at its limit is within it."""

    false_positive_percent: float
    false_negative_percent: float
    critical_weeks: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Alerts that people have judged, and those that should have come."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def wrong_percent(self) -> float | None:
        """Of the judged ones; None where none was."""
        return _percent(self.wrong, self.right + self.wrong)

    @property
    def missed_percent(self) -> float | None:
        """Of what should have been told; None where nothing is known of that."""
        return _percent(self.missed, self.right + self.missed)

    def standing(self, limits: Limits) -> Standing:
        """Nothing said is no data, never ok. Judged by the counts, not by rounded rates."""
        if not (self.right or self.wrong or self.missed):
            return "no_data"
        wrong_above = self.wrong * 100 > limits.false_positive_percent * (self.right + self.wrong)
        missed_above = self.missed * 100 > limits.false_negative_percent * (self.right + self.missed)
        return "above" if wrong_above or missed_above else "ok"


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def monday(at: datetime) -> datetime:
    """The begin of the week (UTC)."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def judge(window: Counts, weeks: Sequence[Counts], limits: Limits) -> tuple[Status, str]:
    """What a review says, and why. ``weeks``: whole ones, the newest first, at least ``critical_weeks`` of them."""
    newest = [one.standing(limits) for one in weeks]
    if all(one == "above" for one in newest[: limits.critical_weeks]):
        count = f"{limits.critical_weeks} weeks" if limits.critical_weeks > 1 else "a week"
        return "critical", f"Too many alerts were wrong or missing for {count}: mend or retire what sends them."
    standing = window.standing(limits)
    if standing == "no_data":
        return "no_data", "Nobody has said of any alert whether it was right: POST …/deliveries/{delivery_id}/verdict."
    if standing == "above" or newest[0] == "above":
        return "warning", "Too many alerts were wrong or missing of late."
    return "ok", "Of the alerts that people have judged few were wrong, and few were missing."
