"""The streak of weeks in which a quality report was made. Pure.

A week is one from Monday to Monday, UTC, and counts by when a report was made in it: a late one counts where it was
made, and mends no week before. What reports found is no part of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Streak:
    """``weeks``: how many in a row up to ``anchor``, the Monday of the newest one that counts.

    ``weeks_since_first``: how many weeks have begun since the first report's week; None without any report.
    """

    weeks: int
    anchor: datetime | None
    weeks_since_first: int | None

    def target(self, configured: int) -> int:
        """How many weeks there should be by now: no more than can be there, and at least 1."""
        if self.weeks_since_first is None:
            return configured
        return max(1, min(configured, self.weeks_since_first))


def monday(at: datetime) -> datetime:
    """The beginning of its week."""
    return (at - timedelta(days=at.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)


def streak_of(
    weeks: Collection[datetime], latest_at: datetime | None, now: datetime, *, recent: timedelta, first: datetime | None
) -> Streak:
    """The streak at ``now``. ``weeks``: the Mondays of those that count; ``latest_at``: of the newest report that does.

    It counts backwards from this week; where this week has none yet, from the newest that counts, as long as that
    report is not older than ``recent``.
    """
    this = monday(now)
    since = None if first is None else max(0, (this - monday(first)) // WEEK)
    anchor = this if this in weeks else None
    if anchor is None and latest_at is not None and now - latest_at <= recent:
        anchor = monday(latest_at)
    count, week = 0, anchor
    while week is not None and week in weeks:
        count, week = count + 1, week - WEEK
    return Streak(count, anchor if count else None, since)
