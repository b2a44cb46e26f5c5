"""Freeze calendars: which windows concern a gate, when they repeat, and what a new version does to standing GOs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import cast
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from libs.common import versions
from libs.common.contracts.governance.freezes import (
    FREEZES,
    PREVIEW_DAYS,
    FreezeCalendar,
    FreezePreview,
    Freezes,
    FreezeShown,
    FreezeWindow,
    PreviewFilter,
    preview_freezes,
)
from libs.common.contracts.versions import Published
from libs.common.problems import Invalid
from libs.common.service import Read, Table, Tx
from libs.judge.policy import Policy
from libs.judge.standing import Freeze
from services.governance.catalog import SITE_SUBJECT, Catalog, Target
from services.governance.recheck import recheck

MAX_SHOWN = 200
MAX_OCCURRENCES = 200  # of a window, within what is looked at
AHEAD = timedelta(days=PREVIEW_DAYS + 1)
_READ = lru_cache(maxsize=64)(Freezes.model_validate_json)

SELECT_CALENDARS = """
SELECT site, content FROM (
    (SELECT site, content FROM document_version WHERE kind = 'freezes' AND site = $1 ORDER BY version DESC LIMIT 1)
    UNION ALL
    (SELECT site, content FROM document_version WHERE kind = 'freezes' AND site = 'global' AND $1 <> 'global'
     ORDER BY version DESC LIMIT 1)
) AS newest
"""


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


async def preview(catalog: Catalog, read: Read, wanted: PreviewFilter) -> FreezePreview:
    """When a gate will be frozen. Raises `NotFound`, `Invalid`."""
    policy = (await catalog.in_force(read.pool, wanted.gate, read.site)).policy(wanted.subject or SITE_SUBJECT)
    if policy.subject_mode == "version" and wanted.subject is None:
        raise Invalid(f"The gate {wanted.gate} judges one subject; say which.")
    subject = wanted.subject or SITE_SUBJECT
    target = Target(wanted.gate, read.site, subject, "")
    rows = await read.pool.fetch(SELECT_CALENDARS, read.site)
    published, labels = {row["site"]: row["content"] for row in rows}, {wanted.label} if wanted.label else set()
    found, missing = frozen(policy, target, published, read.now, labels=frozenset(labels))
    until = read.now + timedelta(days=wanted.days)
    shown = [
        FreezeShown(
            calendar=freeze.calendar,
            origin="own" if site == read.site else "global",
            begins_at=freeze.begins_at,
            ends_at=freeze.ends_at,
            reason=freeze.reason,
        )
        for site, freeze in found
        if freeze.begins_at <= until
    ]
    return FreezePreview(until=until, items=shown[:MAX_SHOWN], left_out=max(0, len(shown) - MAX_SHOWN), missing=missing)


async def apply_freezes(tx: Tx, published: Published[Freezes]) -> None:
    """Have the GOs judged again that a new version may freeze. Raises `Invalid` for a repetition that can't be read."""
    every: Sequence[FreezeWindow] = [window for one in published.content.calendars for window in one.windows]
    for window in every:
        occurrences(window, tx.now)
    await recheck(tx, site=tx.site)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    made = versions.table(FREEZES, applied=apply_freezes)
    return Table(
        commands=made.commands,
        queries={**made.queries, preview_freezes: partial(preview, catalog)},
    )
