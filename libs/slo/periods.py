"""Over how long an error budget counts: the last so many days, or since a month, a week and the like began."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MAX_DAYS = 90  # so long sums are kept
_TEXT = re.compile(r"([1-9][0-9]{0,3})([mhdwMQY])")
_SHORT = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DAYS = {"M": 30, "Q": 90, "Y": 365}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}


@dataclass(frozen=True, slots=True)
class Period:
    """``text`` is OpenSLO's shorthand, such as ``30d``. With ``began`` (a local time) and ``zone`` it follows the
    calendar; else it rolls, and a month is 30 days, a quarter 90.
    """

    text: str
    length: timedelta
    began: datetime | None = None
    zone: str = "UTC"

    @property
    def is_rolling(self) -> bool:
        """Whether it always is the last so many days."""
        return self.began is None

    def since(self, now: datetime) -> datetime:
        """When the period that ``now`` lies in began, in UTC."""
        if self.began is None:
            return now - self.length
        number, unit = _parts(self.text)
        local = now.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        if unit in _SHORT:
            step = number * _SHORT[unit]
            begin = self.began + (local - self.began) // step * step
        else:
            months = number * _MONTHS[unit]
            passed = (local.year - self.began.year) * 12 + local.month - self.began.month
            begin = _months_on(self.began, passed // months * months)
            if begin > local:
                begin = _months_on(self.began, (passed // months - 1) * months)
        return begin.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)


def _parts(text: str) -> tuple[int, str]:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration such as 30d, 4w or 1M")
    return int(found[1]), found[2]


def _months_on(moment: datetime, months: int) -> datetime:
    """So many months later; a day that the month does not have is its last one."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def rolling(text: str) -> Period:
    """The last so many days. Raises ValueError for what is no duration, is too long, or shorter than an hour."""
    number, unit = _parts(text)
    length = number * (_SHORT[unit] if unit in _SHORT else timedelta(days=_DAYS[unit]))
    return Period(text, _kept(text, length))


def calendar(text: str, began: datetime, zone: str) -> Period:
    """A period that begins anew by the calendar, such as each month. Raises ValueError, also for an unknown zone."""
    number, unit = _parts(text)
    if unit in "mh":
        raise ValueError(f"a calendar's {text} is too short: days, weeks, months or quarters follow a calendar")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{zone!r} is no time zone such as Europe/Berlin") from None
    length = number * (_SHORT[unit] if unit in _SHORT else timedelta(days=_DAYS[unit]))
    return Period(text, _kept(text, length), began.replace(tzinfo=None), zone)


def _kept(text: str, length: timedelta) -> timedelta:
    if length > timedelta(days=MAX_DAYS):
        raise ValueError(f"{text} is too long: sums are kept for {MAX_DAYS} days")
    if length < timedelta(hours=1):
        raise ValueError(f"{text} is too short: an hour at the least")
    return length
