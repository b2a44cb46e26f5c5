"""Quiet hours and digests: when something that may wait is to be sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES
_MAX_STEPS = 200  # windows that follow each other; a week has no more, and one that is all quiet is refused before


@dataclass(frozen=True, slots=True)
class Window:
    """Begins on each of ``days`` (Monday is 0) at a minute of the day, and ends at one; at or before the begin: of the
    next day.
    """

    days: frozenset[int]
    begins: int
    ends: int

    @property
    def length(self) -> int:
        """Minutes on the clock, at most a day."""
        return (self.ends - self.begins - 1) % DAY_MINUTES + 1


@dataclass(frozen=True, slots=True)
class Pace:
    """When what may wait is sent: outside of ``windows``, and every ``digest_minutes`` if that is not 0.

    Digests are counted from midnight in ``zone``; the last of a day comes at its end, where the day is no multiple.
    """

    zone: tzinfo = UTC
    windows: tuple[Window, ...] = ()
    digest_minutes: int = 0

    def quiet_until(self, at: datetime) -> datetime:
        """The end of the quiet hours that ``at`` lies in, with those that follow at once; else ``at`` itself."""
        for _ in range(_MAX_STEPS):
            ends = [end for begin, end in self._spans(at) if begin <= at < end]
            if not ends:
                return at
            at = max(ends)
        return at

    def due_at(self, at: datetime) -> datetime:
        """When what happens at ``at`` is to be sent."""
        return self.quiet_until(self._next_digest(at) if self.digest_minutes else at)

    def _spans(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        today = at.astimezone(self.zone).date()
        for window in self.windows:
            for day in (today - timedelta(days=1), today):
                if day.weekday() in window.days:
                    end = window.begins + window.length
                    yield (
                        _instant(day, window.begins, self.zone, late=False),
                        _instant(day, end, self.zone, late=True),
                    )

    def _next_digest(self, at: datetime) -> datetime:
        today = at.astimezone(self.zone).date()
        midnight, step = _instant(today, 0, self.zone, late=False), timedelta(minutes=self.digest_minutes)
        following = midnight + ((at - midnight) // step + 1) * step
        tomorrow = _instant(today, DAY_MINUTES, self.zone, late=False)
        return tomorrow if following + step / 2 > tomorrow else following


def all_week(windows: Iterable[Window]) -> bool:
    """Whether no minute of a week is left in which anything could be sent."""
    quiet = {
        (day * DAY_MINUTES + window.begins + minute) % WEEK_MINUTES
        for window in windows
        for day in window.days
        for minute in range(window.length)
    }
    return len(quiet) == WEEK_MINUTES


def _instant(day: date, minute: int, zone: tzinfo, *, late: bool) -> datetime:
    """When the clocks of a zone show a minute of a day, which may be one of the next.

    What they show twice, when clocks are set back, is the first time, or the second if ``late``: so that all of a night
    is quiet. What they never show, when they are set forward, is when they are set.
    """
    days, rest = divmod(minute, DAY_MINUTES)
    wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone)
    first, second = wall.replace(fold=0).astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if first > second:
        return _change(second, first, zone)
    return second if late else first


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """When between two moments, which its change lies between, a zone's offset changes."""
    old = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            low = middle + 1
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
