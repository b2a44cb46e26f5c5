"""When a job is due: cron expressions in a time zone. Pure; the clock is handed in.

Cron as Debian reads it (through `cronsim`): five fields, or six with seconds first. A job at a fixed hour runs once on
the day when clocks go back, and right after the gap on the day when they go forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

OFF = "off"
EVERY_JOB = "*"
_WEEKDAYS = {"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}
# Clocks of a zone never jump further than this; what lies before can't be read differently for it.
_JUMP = timedelta(hours=3)


class ScheduleError(ValueError):
    """The text is no schedule; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Instants that a cron expression names in a time zone. Raises `ScheduleError` for what is no such thing."""

    cron: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            tz = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
            next(CronSim(self.cron, datetime(2026, 1, 1, tzinfo=tz)))
        except (CronSimError, StopIteration) as error:
            raise ScheduleError(f"{self.cron!r} is no cron expression with five or six fields ({error})") from None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ScheduleError(f"{self.zone!r} is no time zone, such as Europe/Berlin") from None

    @property
    def six_fields(self) -> str:
        """With seconds first, as NATS wants it."""
        return self.cron if len(self.cron.split()) == 6 else f"0 {self.cron}"

    def after(self, at: datetime) -> datetime:
        """The first instant behind ``at``, in UTC."""
        return next(instant for instant in self._from(at) if instant > at)

    def latest(self, at: datetime) -> datetime:
        """The newest instant that is not behind ``at``, in UTC.

        Always one that running forwards would name too: going backwards alone may name another around a clock change,
        and a run is told from its repeat by its instant.
        """
        back = CronSim(self.cron, (at + timedelta(seconds=1)).astimezone(self._tz).replace(microsecond=0), reverse=True)
        found = next(back).astimezone(UTC)
        while found > at:
            found = next(back).astimezone(UTC)
        if self.zone == "UTC":
            return found
        newest = None
        for instant in self._from(found - _JUMP):
            if instant > at:
                break
            newest = instant if newest is None else max(newest, instant)
        return newest or found

    def between(self, start: datetime, end: datetime) -> list[datetime]:
        """The instants behind ``start`` up to ``end``, in UTC and in order."""
        found: set[datetime] = set()
        for instant in self._from(start):
            if instant > end:
                break
            if instant > start:
                found.add(instant)
        return sorted(found)

    @property
    def _tz(self) -> tzinfo:
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)

    def _from(self, at: datetime) -> Iterator[datetime]:
        for instant in CronSim(self.cron, at.astimezone(self._tz)):
            yield instant.astimezone(UTC)


def read_schedule(text: str) -> Schedule | None:
    """``CRON``, ``CRON ZONE``, or ``off`` (None). Raises `ScheduleError`."""
    words = text.split()
    if words == [OFF]:
        return None
    if len(words) > 5 and words[-1][0].isalpha() and words[-1].upper() not in _WEEKDAYS:
        return Schedule(" ".join(words[:-1]), words[-1])
    return Schedule(" ".join(words))


def chosen(service: str, defaults: Mapping[str, Schedule], settings: Mapping[str, str]) -> dict[str, Schedule | None]:
    """The schedules of a service's jobs by name: its own, or what the settings say under ``<service>.<job>``
    or ``<service>.*``.

    Raises `ScheduleError` for a job that the service does not have, and for a text that is no schedule.
    """
    found: dict[str, Schedule | None] = dict(defaults)
    for name, text in sorted(settings.items()):  # `*` comes before every name
        owner, _, job = name.partition(".")
        if owner != service:
            continue
        if job != EVERY_JOB and job not in defaults:
            raise ScheduleError(f"{service} has no job {job!r}; it has {', '.join(sorted(defaults))}")
        try:
            schedule = read_schedule(text)
        except ScheduleError as error:
            raise ScheduleError(f"the schedule of {name}: {error}") from None
        found |= dict.fromkeys(defaults if job == EVERY_JOB else [job], schedule)
    return found
