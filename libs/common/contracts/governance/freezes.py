"""Freeze calendars: windows in which no gate says GO, published for a site or for all."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from libs.common.contracts.base import GET, POST, Command, Model, Open, Query, Time, Token
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.halts import Pattern
from libs.common.contracts.names import Subject
from libs.common.contracts.versions import EXPECTED, MAX_VERSION, Document, Reason
from libs.common.problems import Conflict, Invalid, NotFound, TooLarge

PATH = "/api/freezes"
MAX_CALENDARS = 20
MAX_WINDOWS = 50  # of a calendar
MAX_WINDOW_DAYS = 366
MAX_EXCEPTIONS = 200  # days that a repetition leaves out
MAX_FILE_CHARS = 512 * 1024
PREVIEW_DAYS = 90
MAX_INTERVAL = 999
# What may repeat a window: days and coarser. A part that names hours or seconds would make thousands of windows a day.
_PARTS = {"FREQ", "INTERVAL", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "BYWEEKNO", "WKST"}
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}


def _rule(text: str) -> str:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS or not value or name in parts:
            raise ValueError(f"{name[:20]} is no part of a repetition; use each of {', '.join(sorted(_PARTS))} once")
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"FREQ is one of {', '.join(sorted(_FREQUENCIES))}")
    interval = parts.get("INTERVAL", "1")
    if not (interval.isascii() and interval.isdigit() and 1 <= int(interval) <= MAX_INTERVAL):
        raise ValueError(f"INTERVAL is a whole number of 1 to {MAX_INTERVAL}")  # with 0 it would never move on
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("this is no time zone; use a name such as Europe/Berlin") from None
    return name


Repetition = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_rule)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(_zone)]


class FreezeWindow(Model):
    """From ``starts_at`` until before ``ends_at``. With ``rrule`` (RFC 5545) it repeats at the hours of ``zone``, but
    on none of the days ``except_on`` (of that zone).
    """

    starts_at: Time
    ends_at: Time
    rrule: Repetition | None = None
    zone: Zone = "UTC"
    except_on: list[date] = Field([], max_length=MAX_EXCEPTIONS)
    reason: Reason

    @model_validator(mode="after")
    def _in_order(self) -> FreezeWindow:
        if not 0 < (self.ends_at - self.starts_at).total_seconds() <= MAX_WINDOW_DAYS * 86_400:
            raise ValueError(f"a window ends after it starts, and after at most {MAX_WINDOW_DAYS} days")
        return self


class FreezeCalendar(Model):
    """``gates``: names it freezes (``*``: all) beside those whose policy names it. Subjects: patterns.

    ``exempt_labels``: versions with one of these labels are not frozen.
    """

    name: Token
    gates: list[Pattern] = Field([], max_length=20)
    subjects: list[Pattern] = Field(["*"], max_length=100)
    exempt: list[Pattern] = Field([], max_length=100)
    exempt_labels: list[Token] = Field([], max_length=20)
    windows: list[FreezeWindow] = Field([], max_length=MAX_WINDOWS)


class Freezes(Model):
    """The freeze calendars of a site. Those of ``global`` hold at every site besides its own."""

    calendars: list[FreezeCalendar] = Field([], max_length=MAX_CALENDARS)

    @model_validator(mode="after")
    def _named_once(self) -> Freezes:
        names = [one.name for one in self.calendars]
        if len(set(names)) < len(names):
            raise ValueError("two calendars have one name")
        return self


class FreezeShown(Open):
    calendar: str
    origin: Literal["own", "global"]
    begins_at: Time
    ends_at: Time
    reason: str


class FreezePreview(Open):
    """Windows that are open or begin by ``until``, by their begin. ``left_out``: how many more there are.

    ``missing``: calendars that the policy names and nobody has published; they forbid GO.
    """

    until: Time
    items: list[FreezeShown]
    left_out: int
    missing: list[str] = []


class PreviewFilter(Model):
    gate: Token = Field(description="The gate's name, such as release")
    subject: Subject | None = None
    label: Token | None = Field(None, description="Of a version with this label, such as hotfix")
    days: int = Field(PREVIEW_DAYS, ge=1, le=PREVIEW_DAYS, description="How many days from now")


class FreezeImport(Model):
    """A calendar of the site, made of an iCalendar file; what it held before is replaced, other calendars stay."""

    name: Token = Field(description="The calendar's name, such as year-end")
    content: str = Field(min_length=1, max_length=MAX_FILE_CHARS, description="The iCalendar file (.ics)")
    zone: Zone | None = Field(None, description="Where days and times without a zone are, such as Europe/Berlin")
    gates: list[Pattern] | None = Field(None, max_length=20, description="Gates that it freezes; else as before")
    subjects: list[Pattern] | None = Field(None, max_length=100, description="Which subjects; else as before, or all")
    skip_refused: bool = Field(False, description="Publish the rest where events can't be kept")
    dry_run: bool = Field(False, description="Only say what would be published")
    reason: Reason = Field(description="Why, in a line")
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


class RefusedEvent(Open):
    """An event that can't be kept exactly, and why."""

    uid: str
    summary: str
    why: str


class FreezesImported(Open):
    """``version``: the published one, None for a dry run. ``past_count``: single events that are over;
    ``cancelled_count``: those that were called off.
    """

    version: int | None
    calendar: FreezeCalendar
    refused: list[RefusedEvent]
    past_count: int
    cancelled_count: int


class FeedFilter(Model):
    gate: Token | None = Field(None, description="Only what freezes this gate; else all calendars")
    subject: Subject | None = Field(None, description="Only what freezes this subject of the gate")


FREEZES = Document(
    "governance", "freezes", content=Freezes, default=Freezes(), path=PATH, what="the freeze calendars"
)  # fmt: skip
preview_freezes = Query(
    "governance.freezes.preview",
    params=PreviewFilter,
    result=FreezePreview,
    permission="gate:read",
    http=GET("/api/gates/{gate}/freezes/preview"),
    errors=(NotFound, Invalid),
    summary="Say when a gate will be frozen",
)
import_freezes = Command(
    "governance.freezes.import",
    body=FreezeImport,
    result=FreezesImported,
    permission="policy:write",
    http=POST("/api/freezes/import"),
    errors=(Invalid, Conflict, TooLarge),
    summary="Make a freeze calendar of an iCalendar file and publish it",
)
feed_freezes = Query(
    "governance.freezes.feed",
    params=FeedFilter,
    result=Blob,
    permission="gate:read",
    http=GET("/api/freezes.ics", file="text/calendar", basic=True),
    errors=(NotFound, Invalid),
    summary="The freezes of the next 90 days, as an iCalendar feed",
)
