"""Freeze calendars as iCalendar files (RFC 5545): read into windows, and written for calendar programs.

A window that is lost is a freeze that nobody keeps, so what can't be kept exactly is named with its UID and why.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr
from icalendar import Calendar, Event, vUri
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON
from pydantic import ValidationError

from libs.common.contracts.governance.freezes import MAX_EXCEPTIONS, FreezeWindow, RefusedEvent
from libs.common.ical import NOBODY_TO_ANSWER, TEXT_LIMIT, TITLE_LIMIT, content, one_line, published
from libs.common.problems import Invalid

PRODUCT = "-//Headgate//Freezes//EN"
NAMES = uuid.UUID("0c3d8d0e-93b4-4b1f-8f4e-2f0f5a1f6a55")  # ours, made once: the names of entries follow from it
MAX_EVENTS = 1_000
MAX_COUNT = 1_000
MAX_REASON_CHARS = 300
FIRST_YEAR = 2000  # a repetition is followed from its beginning
LAST_DAY = "22000101T000000"
_KNOWN = {"VEVENT", "VTIMEZONE", "STANDARD", "DAYLIGHT", "VALARM"}


class CannotKeep(ValueError):
    """Why an event can't be kept as windows."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a file holds. ``past_count``: single events that are over; ``cancelled_count``: what was called off."""

    windows: tuple[FreezeWindow, ...]
    refused: tuple[RefusedEvent, ...]
    past_count: int
    cancelled_count: int


@dataclass(frozen=True, slots=True)
class _Span:
    """Begin and end in local time of ``zone``."""

    begin: datetime
    end: datetime
    zone: str
    is_day: bool


def read_windows(text: str, zone: str | None, now: datetime) -> Read:
    """The windows of a file's events. ``zone``: where days and times without a zone are. Raises `Invalid`."""
    try:
        calendars = Calendar.from_ical(text, multiple=True)
        held = [one for calendar in calendars for one in calendar.walk() if one is not calendar]
        zone = zone or _own_zone(calendars)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"This is no iCalendar file: {str(error)[:200] or type(error).__name__}.") from None
    events = [one for one in held if one.name == "VEVENT"]
    if not events:
        raise Invalid("The file holds no event (VEVENT); export the calendar from your program as .ics.")
    if len(held) > MAX_EVENTS:
        raise Invalid(f"The file holds {len(held)} entries, and at most {MAX_EVENTS} are read; split it.")
    refused = [_refusal(one, f"{one.name} is no event") for one in held if one.name not in _KNOWN]
    windows: list[FreezeWindow] = []
    past = cancelled = 0
    moved = _moved(events)
    for event in events:
        if str(event.get("status", "")).upper() == "CANCELLED":
            cancelled += 1
            continue
        try:
            found = _windows(event, zone, moved.get(str(event.get("uid", "")), ()))
        except (CannotKeep, ValidationError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            refused.append(_refusal(event, _words(error)))
            continue
        here = [one for one in found if one.rrule is not None or one.ends_at > now]
        past += not here
        windows += here
    return Read(tuple(windows), tuple(refused), past, cancelled)


def _own_zone(calendars: Iterable[Any]) -> str | None:
    return next((str(one["x-wr-timezone"]) for one in calendars if one.get("x-wr-timezone")), None)


def _moved(events: Iterable[Any]) -> dict[str, list[Any]]:
    """By UID the instants of a repetition that an event of its own replaces or calls off."""
    found: dict[str, list[Any]] = {}
    for event in events:
        instant = event.get("recurrence-id")
        if instant is not None:
            found.setdefault(str(event.get("uid", "")), []).append(instant)
    return found


def _refusal(event: Any, why: str) -> RefusedEvent:
    uid, summary = (one_line(str(event.get(key, "")), 200) for key in ("uid", "summary"))
    return RefusedEvent(uid=uid, summary=summary, why=one_line(why, 300))


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    return str(error) or type(error).__name__


def _windows(event: Any, zone: str | None, moved: Sequence[Any]) -> list[FreezeWindow]:
    """The windows of one event. Raises CannotKeep or ValidationError."""
    if event.get("exrule") is not None:
        raise CannotKeep("EXRULE is not kept; leave days out by EXDATE")
    span = _span(event, zone)
    reason = one_line(str(event.get("summary", "")), MAX_REASON_CHARS).strip() or "frozen"
    rules = event.get("rrule")
    if isinstance(rules, list):
        raise CannotKeep("it has several RRULEs; make an event of each")
    is_replacement = event.get("recurrence-id") is not None
    if is_replacement and event["recurrence-id"].params.get("range"):
        raise CannotKeep("RANGE=THISANDFUTURE is not kept; end the repetition and begin another")
    if rules is not None and is_replacement:
        raise CannotKeep("it replaces one instant and repeats; make another event of it")
    if rules is None:
        without: set[datetime] = set()
        spans = [span, *(_at(span, one) for one in _instants(event, "rdate", span))]
        return [_window(one, reason, None, without) for one in spans]
    if span.begin.year < FIRST_YEAR:
        raise CannotKeep(f"a repetition begins in {FIRST_YEAR} at the earliest")
    if event.get("rdate") is not None:
        raise CannotKeep("RDATE beside RRULE is not kept; make events of these days")
    left_out = {*_instants(event, "exdate", span), *(_local(one.dt, span) for one in moved)}
    return [_window(span, reason, _rule(rules, span), left_out)]


def _window(span: _Span, reason: str, rule: str | None, left_out: set[datetime]) -> FreezeWindow:
    days = sorted({one.date() for one in left_out})
    if len(days) > MAX_EXCEPTIONS:
        raise CannotKeep(f"it leaves out {len(days)} days, and {MAX_EXCEPTIONS} can be")
    if any(one.time() != span.begin.time() for one in left_out):
        raise CannotKeep("EXDATE or RECURRENCE-ID names a time at which it does not begin")
    place = ZoneInfo(span.zone)
    begin, end = (one.replace(tzinfo=place).astimezone(UTC) for one in (span.begin, span.end))
    return FreezeWindow(starts_at=begin, ends_at=end, rrule=rule, zone=span.zone, reason=reason, except_on=days)


def _span(event: Any, zone: str | None) -> _Span:
    begin = event.get("dtstart")
    if begin is None:
        raise CannotKeep("it has no DTSTART")
    start, is_day = begin.dt, not isinstance(begin.dt, datetime)
    name = _zone(begin, zone)
    first = datetime.combine(start, time()) if is_day else _naive(start, name)
    end, length = event.get("dtend"), event.get("duration")
    if end is not None and length is not None:
        raise CannotKeep("it has both DTEND and DURATION")
    if end is not None:
        if isinstance(end.dt, datetime) == is_day:
            raise CannotKeep("DTSTART and DTEND are not both days or both times")
        last = datetime.combine(end.dt, time()) if is_day else _naive(_placed(end, zone), name)
    elif length is not None:
        last = first + length.dt
    elif is_day:
        last = first + timedelta(days=1)
    else:
        raise CannotKeep("it has neither DTEND nor DURATION, so nobody knows how long it is frozen")
    if last <= first:
        raise CannotKeep("it does not end after it begins")
    return _Span(first, last, name, is_day)


def _zone(value: Any, zone: str | None) -> str:
    """The name of the zone that a time is in. Raises CannotKeep for none and for one that is not known by name."""
    moment = value.dt
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        named = value.params.get("tzid") or getattr(moment.tzinfo, "key", None)
        if named is None:
            return "UTC" if moment.utcoffset() == timedelta() else _unknown("an offset only")
        return _known(str(named)) or _known(WINDOWS_TO_OLSON.get(str(named), "")) or _unknown(str(named))
    if value.params.get("tzid"):
        return _known(str(value.params["tzid"])) or _unknown(str(value.params["tzid"]))
    if zone is None:
        raise CannotKeep("it has days or times without a zone; say which is meant (--zone Europe/Berlin)")
    return _known(zone) or _unknown(zone)


def _known(name: str) -> str | None:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _unknown(name: str) -> str:
    raise CannotKeep(f"the time zone {name[:60]} is not known; use a name such as Europe/Berlin")


def _placed(value: Any, zone: str | None) -> datetime:
    """A time with its zone."""
    moment: datetime = value.dt
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(_zone(value, zone)))


def _naive(moment: datetime, zone: str) -> datetime:
    """The local time in ``zone``."""
    return (moment.astimezone(ZoneInfo(zone)) if moment.tzinfo is not None else moment).replace(tzinfo=None)


def _local(moment: date | datetime, span: _Span) -> datetime:
    if not isinstance(moment, datetime):
        # Programs name a day also where the event has a time: the instant of that day is meant.
        return datetime.combine(moment, span.begin.time())
    return _naive(moment, span.zone)


def _instants(event: Any, key: str, span: _Span) -> list[datetime]:
    value = event.get(key)
    if value is None:
        return []
    found = []
    for listed in value if isinstance(value, list) else [value]:
        for one in listed.dts:
            if isinstance(one.dt, tuple):
                raise CannotKeep(f"{key.upper()} with periods is not kept; make events of them")
            found.append(_local(one.dt, span))
    return found


def _at(span: _Span, begin: datetime) -> _Span:
    return replace(span, begin=begin, end=begin + (span.end - span.begin))


def _rule(rule: Any, span: _Span) -> str:
    """The repetition, in the words that windows know: its end is a local time, and never a number of times."""
    parts = {key.upper(): list(values) for key, values in rule.items()}
    count, until = parts.pop("COUNT", None), parts.pop("UNTIL", None)
    plain = type(rule)({key: values for key, values in parts.items() if key != "SKIP" and key != "RSCALE"})
    if len(plain) < len(parts):
        raise CannotKeep("RSCALE and SKIP are not kept")
    text: str = plain.to_ical().decode()
    if count is not None:
        times = int(count[0])
        if until is not None or not 1 <= times <= MAX_COUNT:
            raise CannotKeep(f"COUNT is 1 to {MAX_COUNT}, without UNTIL")
        FreezeWindow.model_validate(_probe(text, span))  # what it can't have may not be followed
        # It may never be met, so it is sought within a bound.
        every = list(islice(rrulestr(f"{text};UNTIL={LAST_DAY}", dtstart=span.begin), times))
        if not every:
            raise CannotKeep("it never begins")
        last = every[-1]
    elif until is not None:
        moment = until[0]
        last = _naive(moment, span.zone) if isinstance(moment, datetime) else datetime.combine(moment, time(23, 59, 59))
    else:
        return text
    return f"{text};UNTIL={last:%Y%m%dT%H%M%S}"


def _probe(text: str, span: _Span) -> dict[str, Any]:
    end = span.begin + timedelta(hours=1)
    return {"starts_at": span.begin.replace(tzinfo=UTC), "ends_at": end.replace(tzinfo=UTC), "rrule": text,
            "reason": "-"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A window as calendar programs show it. ``since``: when the version that has it was published."""

    site: str
    calendar: str
    begins_at: datetime
    ends_at: datetime
    reason: str
    since: datetime


def write(title: str, about: str, windows: Iterable[Shown]) -> bytes:
    """The calendar's bytes; they follow from what is published and the day, so that an unchanged one is a 304."""
    calendar = published(PRODUCT, title, about)
    for one in windows:
        calendar.add_component(_entry(one))
    return content(calendar)


def _entry(one: Shown) -> Event:
    entry = Event()
    named = "\n".join((one.site, one.calendar, one.reason, one.begins_at.isoformat(), one.ends_at.isoformat()))
    entry.add("uid", f"{uuid.uuid5(NAMES, named)}@headgate")
    entry.add("dtstamp", one.since)
    entry.add("dtstart", one.begins_at)
    entry.add("dtend", one.ends_at)
    entry.add("summary", one_line(f"Frozen: {one.reason}", TITLE_LIMIT))
    entry.add("description", one_line(f"The calendar {one.calendar} of {one.site}: {one.reason}", TEXT_LIMIT))
    entry.add("categories", [one.site, one.calendar])
    entry.add("organizer", vUri(NOBODY_TO_ANSWER), parameters={"CN": "Headgate"})
    entry.add("status", "CONFIRMED")
    entry.add("transp", "TRANSPARENT")
    return entry
