"""Business calendars: when working time runs, and when so much of it has passed.

A calendar says for each local day which minutes are open, as a clock on the wall there shows them. Working time is the
real time that passes within open minutes: where clocks go back, an hour that the wall shows twice counts twice if it
is open; where they go forward, an hour that never was counts nothing. Time is walked day by day, never by the minute.
All datetimes are aware; results are in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTES_A_DAY = 1440
MAX_CLOSED_DAYS = 400  # a calendar that is closed for longer is refused
HORIZON = timedelta(days=3660)  # how far `Calendar.add` looks for open time

Span = tuple[int, int]  # minutes of a day, from and until (not included): (540, 1020) is 09:00 to 17:00
Holidays = Callable[[int], AbstractSet[date]]  # the holidays of a year

_WHOLE_DAY: tuple[Span, ...] = ((0, MINUTES_A_DAY),)
_ZERO = timedelta()


class NeverOpen(ValueError):
    """The calendar is closed for so long that what is asked for is out of reach."""


def no_holidays(_year: int) -> AbstractSet[date]:
    """The holidays of a calendar that has none."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working hours of a site.

    ``week`` holds the spans of Monday to Sunday, each day's in order and apart. ``days`` are own days: they replace
    hours and holidays of that date (no spans: closed). On ``holidays`` that are no own days everything is closed.
    ``zone`` is an IANA name. Raises `ValueError` for spans that overlap, are empty or leave the day, and for a zone
    that nobody knows.
    """

    week: tuple[tuple[Span, ...], ...]
    zone: str = "UTC"
    holidays: Holidays = no_holidays
    days: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    _clock: ZoneInfo = field(init=False, repr=False, compare=False)
    _always: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.week) != 7:
            raise ValueError("a week has seven days, Monday first")
        for spans in (*self.week, *self.days.values()):
            _check(spans)
        object.__setattr__(self, "_clock", ZoneInfo(self.zone))
        usual = self.holidays is no_holidays and not self.days
        object.__setattr__(self, "_always", usual and all(spans == _WHOLE_DAY for spans in self.week))

    def hours(self, day: date) -> tuple[Span, ...]:
        """The open spans of a local day."""
        own = self.days.get(day)
        if own is not None:
            return own
        return () if day in self.holidays(day.year) else self.week[day.weekday()]

    def is_open(self, at: datetime) -> bool:
        """Whether working time runs at this instant."""
        if self._always:
            return True
        local = _utc(at).astimezone(self._clock)
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self.hours(local.date()))

    def add(self, start: datetime, working: timedelta) -> datetime:
        """The first instant at which so much working time has passed since ``start``: ``start`` itself for none.

        The end of a working day comes before the begin of the next. Raises `NeverOpen` if that is more than `HORIZON`
        away, and `ValueError` for a negative time.
        """
        start = _utc(start)
        if working < _ZERO:
            raise ValueError("working time can't be negative")
        if working == _ZERO:
            return start
        if self._always:
            if working > HORIZON:
                raise NeverOpen(f"{working} of working time is more than {HORIZON.days} days")
            return start + working
        left = working
        for begin, end in self._open(start, start + HORIZON):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        raise NeverOpen(f"the calendar has not {working} of working time within {HORIZON.days} days")

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The working time from one instant to a later one; none if the second is not later."""
        start, end = _utc(start), _utc(end)
        if end <= start:
            return _ZERO
        if self._always:
            return end - start
        return sum((until - begin for begin, until in self._open(start, end)), _ZERO)

    def next_open(self, at: datetime) -> datetime:
        """The first open instant from ``at`` on; raises `NeverOpen` if `MAX_CLOSED_DAYS` days hold none."""
        at = _utc(at)
        if self._always:
            return at
        for begin, _ in self._open(at, at + timedelta(days=MAX_CLOSED_DAYS)):
            return begin
        raise NeverOpen(f"the calendar has no open minute in the {MAX_CLOSED_DAYS} days from {at:%Y-%m-%d} on")

    def check_from(self, at: datetime) -> None:
        """Raise `NeverOpen` if from ``at`` on more than `MAX_CLOSED_DAYS` days in a row hold no open minute.

        Looked at is the time until well behind the last own day; from there on a year is like the next.
        """
        at = _utc(at)
        last = max((day for day in self.days), default=at.date())
        until = datetime.combine(max(last, at.date()), time(), UTC) + timedelta(days=2 * MAX_CLOSED_DAYS)
        while at < until:
            begin = self.next_open(at)
            at = max((end for begin, end in self._open(begin, begin + timedelta(days=MAX_CLOSED_DAYS))), default=begin)

    def _open(self, at: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The open stretches between two instants in UTC, in order; one may begin where another ends.

        Goes by pieces of time within which both the local date and the clocks' distance from UTC stay the same, so
        that plain arithmetic is right within each. No zone's clocks change twice within 24 hours.
        """
        offset = self._offset(at)
        while at < until:
            midnight = datetime.combine((at + offset).date(), time(), UTC) - offset
            stop = midnight + timedelta(days=1)
            offset_then = self._offset(stop)
            if offset_then != offset:
                stop = self._change(at, stop, offset)
                offset_then = self._offset(stop)
            for first, last in self.hours((at + offset).date()):
                begin = max(at, midnight + timedelta(minutes=first))
                end = min(stop, until, midnight + timedelta(minutes=last))
                if begin < end:
                    yield begin, end
            at, offset = stop, offset_then

    def _offset(self, at: datetime) -> timedelta:
        return at.astimezone(self._clock).utcoffset() or _ZERO

    def _change(self, low: datetime, high: datetime, offset: timedelta) -> datetime:
        """The first whole second after ``low``, at most ``high``, at which the clocks are no longer at ``offset``."""
        low = low.replace(microsecond=0)
        while (seconds := (high - low) // timedelta(seconds=1)) > 1:
            middle = low + timedelta(seconds=seconds // 2)
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return high


def _check(spans: tuple[Span, ...]) -> None:
    before = 0
    for start, end in spans:
        if not before <= start < end <= MINUTES_A_DAY:
            raise ValueError(f"the spans of a day must be in order, apart, and within 0 to {MINUTES_A_DAY} minutes")
        before = end


def _utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError("a calendar wants datetimes with a zone")
    return at.astimezone(UTC)


ALWAYS = Calendar(week=(_WHOLE_DAY,) * 7)
