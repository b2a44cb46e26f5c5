"""Business calendars: the hours in which a site's deadlines run, as a document that people publish."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.tracker.items import BASE
from libs.common.contracts.versions import Document
from libs.common.contracts.zones import Weekday, Zone
from libs.common.problems import Conflict, Invalid

PATH = f"{BASE}/sla/calendar"
MAX_MOVED = 10_000  # open items that one change of a calendar may move
MAX_SHOWN = 500
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def minutes(span: str) -> tuple[int, int]:
    """``09:00-17:30`` as minutes of the day, (540, 1050); raises `ValueError`."""
    found = _SPAN.fullmatch(span)
    if found is None:
        raise ValueError("hours read 09:00-17:30; a day ends at 24:00")
    first, until = (int(hours) * 60 + int(rest) for hours, rest in (found.group(1, 2), found.group(3, 4)))
    if until > 24 * 60 or first >= until:
        raise ValueError(f"{span} must end after it begins, and by 24:00")
    return first, until


def _hours(spans: list[str]) -> list[str]:
    before = 0
    for first, until in map(minutes, spans):
        if first < before:
            raise ValueError("the hours of a day must be in order and not overlap")
        before = until
    return spans


def _own_days(days: list[OwnDay]) -> list[OwnDay]:
    if len({one.date for one in days}) < len(days):
        raise ValueError("a date may stand here once")
    return days


def _year(value: date) -> date:
    if not 2000 <= value.year <= 2100:
        raise ValueError("the date must lie in the years 2000 to 2100")
    return value


Hours = Annotated[list[str], Field(max_length=24), AfterValidator(_hours)]
Day = Annotated[date, AfterValidator(_year)]


class HolidaysOf(Model):
    """Public holidays of a country, as the library `holidays` knows them."""

    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1, such as DE")
    subdivision: str | None = Field(None, pattern=r"^[A-Za-z0-9 ()-]{1,40}$", description="ISO 3166-2, such as BY")


class OwnDay(Model):
    """A day unlike others: open in these hours only, also if it is a holiday; without hours it is closed."""

    date: Day
    hours: Hours = []
    name: str = Field("", max_length=100)


class CalendarContent(Model):
    """``week`` says the hours of each weekday; one that is not named is closed. The default is always open."""

    zone: Zone = "UTC"
    week: dict[Weekday, Hours] = Field(
        default={
            "monday": ["00:00-24:00"],
            "tuesday": ["00:00-24:00"],
            "wednesday": ["00:00-24:00"],
            "thursday": ["00:00-24:00"],
            "friday": ["00:00-24:00"],
            "saturday": ["00:00-24:00"],
            "sunday": ["00:00-24:00"],
        }
    )
    holidays: HolidaysOf | None = None
    days: Annotated[list[OwnDay], Field(max_length=1000), AfterValidator(_own_days)] = []


class CalendarBody(Model):
    content: CalendarContent = Field(description="The calendar as it would be published")


class MovedItem(Open):
    """An open item whose deadline would move; ``*_at`` null: none."""

    id: int
    site: str
    gate: str
    subject: str
    line: str = ""
    rule_id: str
    due_at: Time | None
    new_due_at: Time | None
    overdue: bool
    new_overdue: bool


class CalendarPreview(Open):
    """What publishing would do to open items, as they are now. ``items`` are at most 500, soonest new deadline first.

    ``by_hand_count`` items keep the deadline that a person gave them. More than 10,000 moved items can't be published
    at once.
    """

    generated_at: Time
    open_count: int
    moved_count: int
    earlier_count: int
    later_count: int
    by_hand_count: int
    newly_overdue_count: int
    no_longer_overdue_count: int
    items: list[MovedItem]
    left_out: int


class ClosedFilter(Model):
    first_day: Day | None = Field(None, description="The first day that is looked at (else today, at the site)")
    day_count: int = Field(42, ge=1, le=400, description="How many days are looked at")


class ClosedDay(Open):
    """A day without an open minute. ``why``: its weekday has no hours, it is a holiday, or a day of its own.

    ``name``: of the holiday, in the words of its country, or of the own day; empty where there is none.
    """

    date: date
    why: Literal["weekday", "holiday", "own_day"]
    name: str = ""


class ClosedDays(Open):
    """The days without an open minute from ``first_day`` on, as the clocks in ``zone`` show them."""

    site: str
    zone: str
    first_day: date
    day_count: int
    closed: list[ClosedDay]
    problem: str | None = Field(None, description="What of the calendar can't be read, and what counts instead")


class CalendarPreviewed(Open):
    open_count: int
    moved_count: int


class CalendarApplied(Open):
    """``moved_count`` open items got another deadline; each is told by an event of its own."""

    version: int
    digest: str
    moved_count: int


CALENDAR = Document(
    "tracker",
    "calendar",
    content=CalendarContent,
    default=CalendarContent(),
    path=PATH,
    what="the business calendar",
)
preview_calendar = Command(
    "tracker.calendar.preview",
    body=CalendarBody,
    result=CalendarPreview,
    permission="policy:write",
    http=POST(f"{PATH}/preview"),
    errors=(Invalid, Conflict),
    summary="Say which deadlines a calendar would move, without moving any",
)
list_closed_days = Query(
    "tracker.calendar.closed_days",
    params=ClosedFilter,
    result=ClosedDays,
    permission="remediation:read",
    http=GET(f"{PATH}/closed-days"),
    errors=(Invalid,),
    summary="List the days on which no deadline of the site runs",
)
calendar_previewed = Event(
    "tracker.calendar.previewed", data=CalendarPreviewed, summary="Somebody asked what a calendar would move"
)
calendar_applied = Event(
    "tracker.calendar.applied", data=CalendarApplied, summary="A new calendar moved the deadlines of open items"
)
