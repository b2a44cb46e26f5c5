"""When freeze calendars are closed for a gate: their windows, repeated in their zones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from libs.common.contracts.governance.freezes import PREVIEW_DAYS, FreezeCalendar, Freezes, FreezeWindow
from libs.common.problems import Invalid
from libs.judge.policy import Policy
from libs.judge.standing import Freeze
from services.governance.catalog import Target

MAX_OCCURRENCES = 200  # of a window, within what is looked at
AHEAD = timedelta(days=PREVIEW_DAYS + 1)
_READ = lru_cache(maxsize=64)(Freezes.model_validate_json)


def occurrences(window: FreezeWindow, now: datetime, until: datetime | None = None) -> list[tuple[datetime, datetime]]:
    """When the window is open from ``now`` on, for somewhat more than 90 days, or as long after ``until``.

    Raises `Invalid` if it can't be read.

    A repetition keeps its wall-clock times in its zone: across a change of the clocks it is an hour longer or shorter.
    An hour that does not exist is read with the offset of before the change.
    """
    text, day = window.model_dump_json(), now.astimezone(UTC).date()
    last = day if until is None else until.astimezone(UTC).date()
    found: dict[tuple[datetime, datetime], None] = {}
    while True:
        found |= dict.fromkeys(_around(text, day))
        if day >= last:
            return [(begin, end) for begin, end in found if end > now]
        day = min(day + AHEAD, last)


@lru_cache(maxsize=1024)
def _around(text: str, day: date) -> list[tuple[datetime, datetime]]:
    window = FreezeWindow.model_validate_json(text)
    low = datetime(day.year, day.month, day.day, tzinfo=UTC)
    high = low + AHEAD + timedelta(days=1)
    if window.rrule is None:
        once = (window.starts_at, window.ends_at)
        return [once] if once[1] > low and once[0] < high else []
    zone = ZoneInfo(window.zone)
    first = window.starts_at.astimezone(zone).replace(tzinfo=None)
    length = window.ends_at.astimezone(zone).replace(tzinfo=None) - first
    found: list[tuple[datetime, datetime]] = []
    for local in _steps(window.rrule, first, high.replace(tzinfo=None) + timedelta(days=1)):
        if local.date() in window.except_on:
            continue
        begin = local.replace(tzinfo=zone).astimezone(UTC)
        end = (local + length).replace(tzinfo=zone).astimezone(UTC)
        if begin >= high or len(found) >= MAX_OCCURRENCES:
            break
        if end > low:
            found.append((begin, end))
    return found


def _steps(text: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """The local times of a repetition until ``last``: else one of each 30 February would be sought for ever."""
    try:
        rule = cast("rrule", rrulestr(text, dtstart=first, ignoretz=True))  # one rule, never a set of them
        until = vars(rule)["_until"]
        yield from rule.replace(until=last if until is None else min(last, until))
    except (ValueError, TypeError, OverflowError) as error:
        raise Invalid(f"The repetition {text} can't be read: {error}.") from None


def _concerns(calendar: FreezeCalendar, policy: Policy, subject: str, labels: frozenset[str]) -> bool:
    named = calendar.name in policy.freeze_calendars
    return (
        (named or any(fnmatchcase(policy.name, one) for one in calendar.gates))
        and any(fnmatchcase(subject, one) for one in calendar.subjects)
        and not any(fnmatchcase(subject, one) for one in calendar.exempt)
        and labels.isdisjoint(calendar.exempt_labels)
    )


def frozen(
    policy: Policy,
    target: Target,
    published: Mapping[str, str],
    now: datetime,
    until: datetime | None = None,
    labels: frozenset[str] = frozenset(),
) -> tuple[list[tuple[str, Freeze]], list[str]]:
    """The windows that concern a target, each with the site it was published for, and the calendars that are missing.

    Those of the next 90 days, and with ``until`` all until then. ``labels``: of the version.

    ``published``: the content of the newest version by site. What does not fit the present model counts as missing:
    whether it freezes is not known.
    """
    found: list[tuple[str, Freeze]] = []
    known: set[str] = set()
    unread: list[str] = []
    for site, content in sorted(published.items()):
        try:
            calendars = _READ(content).calendars
        except ValueError:
            unread.append(f"of {site}")
            continue
        for calendar in calendars:
            known.add(calendar.name)
            if _concerns(calendar, policy, target.subject, labels):
                found += [
                    (site, Freeze(calendar.name, begin, end, window.reason))
                    for window in calendar.windows
                    for begin, end in occurrences(window, now, until)
                ]
    found.sort(key=lambda one: (one[1].begins_at, one[1].ends_at, one[1].calendar, one[1].reason))
    return found, sorted([*unread, *(set(policy.freeze_calendars) - known)])
