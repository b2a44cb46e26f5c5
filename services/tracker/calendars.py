"""Business calendars: published, tried out beforehand, and applied to the open items that they concern."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from libs.common.contracts.tracker import calendars as contract
from libs.common.contracts.tracker.calendars import (
    CALENDAR,
    MAX_MOVED,
    MAX_SHOWN,
    CalendarApplied,
    CalendarBody,
    CalendarContent,
    CalendarPreview,
    CalendarPreviewed,
    ClosedDay,
    ClosedDays,
    ClosedFilter,
    MovedItem,
    calendar_applied,
    calendar_previewed,
)
from libs.common.contracts.versions import Published
from libs.common.problems import Conflict, Invalid
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE, table
from services.tracker.board import CALENDAR_LOCK
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.calendars import Calendar, NeverOpen
from services.tracker.domain.changes import Change
from services.tracker.domain.deadlines import recount
from services.tracker.domain.item import Item, is_overdue
from services.tracker.ladder import look_again
from services.tracker.terms import Reading, reading_of, to_calendar

TAKE_CALENDAR_LOCK = f"SELECT pg_advisory_xact_lock({CALENDAR_LOCK})"
# A calendar that is published for `global` holds at every site that has none of its own.
_CONCERNED = f"""
is_active AND (site = $1 OR ($1 = '{EVERYWHERE}' AND NOT EXISTS (
    SELECT FROM document_version WHERE kind = '{CALENDAR.noun}' AND document_version.site = item.site
)))
"""
# The boards first, as everywhere, in one order, so that two who do this never wait for each other.
LOCK_BOARDS = f"""
SELECT FROM board WHERE (site, gate, subject, line) IN (SELECT site, gate, subject, line FROM item WHERE {_CONCERNED})
ORDER BY site, gate, subject, line FOR UPDATE
"""  # noqa: S608 - names of our own
OPEN_ITEMS = f"SELECT * FROM item WHERE {_CONCERNED} ORDER BY id LIMIT $2"  # noqa: S608


async def preview_calendar(tx: Tx, body: CalendarBody) -> CalendarPreview:
    """What publishing the calendar here would move. Raises `Invalid` and `Conflict` as publishing would."""
    calendar = _checked(body.content, tx.now)
    items = await _open_items(tx)
    moves = [_moved(change) for change in _changes(tx, items, calendar) if change.changed]
    shown = [_shown(before, after, tx.now) for before, after in moves]
    shown.sort(key=lambda one: (one.new_due_at is None, one.new_due_at, one.id))
    preview = CalendarPreview(
        generated_at=tx.now,
        open_count=len(items),
        moved_count=len(shown),
        earlier_count=sum(_earlier(before, after) for before, after in moves),
        later_count=sum(_earlier(after, before) for before, after in moves),
        by_hand_count=sum(item.due_by_hand for item in items),
        newly_overdue_count=sum(one.new_overdue and not one.overdue for one in shown),
        no_longer_overdue_count=sum(one.overdue and not one.new_overdue for one in shown),
        items=shown[:MAX_SHOWN],
        left_out=max(0, len(shown) - MAX_SHOWN),
    )
    told = CalendarPreviewed(open_count=preview.open_count, moved_count=preview.moved_count)
    tx.emit(calendar_previewed, told, subject=tx.site)
    return preview


async def apply_calendar(tx: Tx, published: Published[CalendarContent]) -> None:
    """Count the deadlines of open items on the calendar that has just been published, in the same transaction.

    Left alone are those that a person set. Raises `Invalid` and `Conflict`, so that it is not published then.
    """
    calendar = _checked(published.content, tx.now)
    await tx.connection.execute(TAKE_CALENDAR_LOCK)
    await tx.connection.execute(LOCK_BOARDS, tx.site)
    moved = [change for change in _changes(tx, await _open_items(tx), calendar) if change.changed]
    await write(tx, moved)
    await look_again(tx)
    told = CalendarApplied(version=published.version, digest=published.digest, moved_count=len(moved))
    tx.emit(calendar_applied, told, subject=tx.site)


async def list_closed_days(read: Read, wanted: ClosedFilter) -> ClosedDays:
    """The days on which the site's calendar has no open minute, with what it calls them."""
    reading = await reading_of(read.pool, read.site)
    calendar = reading.calendar
    first = wanted.first_day or read.now.astimezone(ZoneInfo(calendar.zone)).date()
    days = (first + timedelta(days=place) for place in range(wanted.day_count))
    return ClosedDays(
        site=read.site,
        zone=calendar.zone,
        first_day=first,
        day_count=wanted.day_count,
        closed=[_closed(reading, day) for day in days if not calendar.hours(day)],
        problem=reading.problem,
    )


def _closed(reading: Reading, day: date) -> ClosedDay:
    calendar = reading.calendar
    if day in calendar.days:
        return ClosedDay(date=day, why="own_day", name=reading.name_of(day))
    if day in calendar.holidays(day.year):
        return ClosedDay(date=day, why="holiday", name=reading.name_of(day))
    return ClosedDay(date=day, why="weekday")


def _checked(content: CalendarContent, now: datetime) -> Calendar:
    calendar = to_calendar(content)
    try:
        calendar.check_from(now)
    except NeverOpen as closed:
        raise Invalid(f"Nothing would ever be due: {closed}. Add hours to week or days.") from None
    return calendar


async def _open_items(tx: Tx) -> list[Item]:
    rows: list[asyncpg.Record] = await tx.connection.fetch(OPEN_ITEMS, tx.site, MAX_MOVED + 1)
    if len(rows) > MAX_MOVED:
        raise Conflict(
            f"More than {MAX_MOVED} open items would have to be counted anew at once. Give the sites calendars of "
            "their own, one after the other."
        )
    return [domain.to_item(dict(row)) for row in rows]


def _changes(tx: Tx, items: list[Item], calendar: Calendar) -> list[Change]:
    return [recount(item, calendar, tx.actor, tx.now) for item in items]


def _moved(change: Change) -> tuple[Item, Item]:
    assert change.before is not None  # noqa: S101 - only items that there are are counted anew
    return change.before, change.item


def _earlier(before: Item, after: Item) -> bool:
    return before.due_at is not None and after.due_at is not None and after.due_at < before.due_at


def _shown(before: Item, after: Item, now: datetime) -> MovedItem:
    return MovedItem(
        id=before.id,
        site=before.site,
        gate=before.gate,
        subject=before.subject,
        line=before.line,
        rule_id=before.rule_id,
        due_at=before.due_at,
        new_due_at=after.due_at,
        overdue=is_overdue(before, now),
        new_overdue=is_overdue(after, now),
    )


TABLE = Table(
    commands={contract.preview_calendar: preview_calendar},
    queries={contract.list_closed_days: list_closed_days},
)
DOCUMENT = table(CALENDAR, applied=apply_calendar)
