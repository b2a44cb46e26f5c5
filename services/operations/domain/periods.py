"""What a report is about: the 7 days up to now, or a month. Pure; times are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

FIRST_YEAR, LAST_YEAR = 1970, 9000
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """``since`` belongs to it, ``until`` does not; people are shown ``start`` and ``end``."""

    label: str
    start: datetime
    end: datetime
    since: datetime
    until: datetime
    is_over: bool

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day that it touches."""
        return self.since.date(), (self.until - _TICK).date()


def last_week(now: datetime) -> Period:
    """The 7 days up to now, so that reports that are made each week at the same time leave nothing out."""
    start = now - timedelta(days=7)
    return Period(f"week-{start:%Y-%m-%d}-{now:%Y-%m-%d}", start, now, start + _TICK, now + _TICK, is_over=True)


def month_of(now: datetime, month: str | None) -> Period:
    """A month such as ``2026-03``, up to now if it still runs; None: the one before this.

    Raises `ValueError` with a sentence for one that has not begun, or that no calendar has.
    """
    this = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = this if month is not None else (this - timedelta(days=1)).replace(day=1)
    if month is not None:
        year, number = (int(word) for word in month.split("-"))
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise ValueError(f"month lies in the years {FIRST_YEAR} to {LAST_YEAR}")
        start = datetime(year, number, 1, tzinfo=UTC)
    if start > now:
        raise ValueError(f"the month {start:%Y-%m} has not begun; leave month away for the newest that is over")
    after = (start + timedelta(days=32)).replace(day=1)
    end, until = (after, after) if after <= now else (now, now + _TICK)
    return Period(f"{start:%Y-%m}", start, end, start, until, is_over=after <= now)
