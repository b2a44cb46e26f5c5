"""Closed days of a site's calendar, as the board's calendar shows them; on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent, ClosedFilter, HolidaysOf, OwnDay
from services.tracker.calendars import list_closed_days
from tests.integration.test_tracker_sla import OFFICE as BERLIN
from tests.integration.test_tracker_sla import publish
from tests.integration.test_tracker_unreadable import DROPPED, OFFICE, published_once
from tests.integration.tracker_desk import Desk

pytestmark = pytest.mark.integration


async def closed(desk: Desk, first: str, count: int) -> list[tuple[str, str, str]]:
    """What is closed in so many days."""
    wanted = ClosedFilter(first_day=date.fromisoformat(first), day_count=count)
    found = await list_closed_days(desk.read(), wanted)
    return [(one.date.isoformat(), one.why, one.name) for one in found.closed]


async def test_weekends_holidays_and_own_days_are_closed_and_say_why(desk: Desk) -> None:
    assert await closed(desk, "2026-01-01", 400) == [], "without a calendar time runs day and night"
    own: list[OwnDay] = [
        OwnDay(date=date(2026, 5, 2), hours=["10:00-12:00"], name="a Saturday at work"),
        OwnDay(date=date(2026, 5, 4), name="the move"),
        OwnDay(date=date(2026, 5, 5)),
    ]
    changes: dict[str, Any] = {"holidays": HolidaysOf(country="DE"), "days": own}
    await publish(desk, BERLIN.model_copy(update=changes))
    assert await closed(desk, "2026-05-01", 10) == [
        ("2026-05-01", "holiday", "Erster Mai"),
        ("2026-05-03", "weekday", ""),
        ("2026-05-04", "own_day", "the move"),
        ("2026-05-05", "own_day", ""),
        ("2026-05-09", "weekday", ""),
        ("2026-05-10", "weekday", ""),
    ]
    # Over the turn of a year, each by its own holidays.
    assert ("2027-01-01", "holiday", "Neujahr") in await closed(desk, "2026-12-20", 20)


async def test_it_begins_today_at_the_site(desk: Desk) -> None:
    await publish(desk, CalendarContent(zone="Pacific/Kiritimati", week={"monday": ["09:00-17:00"]}))
    desk.now = datetime(2026, 3, 1, 11, tzinfo=UTC)  # there it is Monday, 2 March, one in the morning
    found = await list_closed_days(desk.read(), ClosedFilter(day_count=3))
    assert (found.zone, found.first_day, found.day_count) == ("Pacific/Kiritimati", date(2026, 3, 2), 3)
    assert [one.date.day for one in found.closed] == [3, 4]
    assert found.problem is None


async def test_of_a_calendar_that_cannot_be_read_it_says_what_counts_instead(desk: Desk) -> None:
    await published_once(desk, CALENDAR.noun, DROPPED)  # a country that nobody knows any more: its week counts
    found = await list_closed_days(desk.read(), ClosedFilter(first_day=date(2026, 5, 1), day_count=3))
    assert [(one.date.day, one.why, one.name) for one in found.closed] == [(2, "weekday", ""), (3, "weekday", "")]
    assert found.problem is not None
    assert "No holidays are known for ZZ" in found.problem


async def test_what_cannot_be_read_at_all_closes_nothing(desk: Desk) -> None:
    await published_once(desk, CALENDAR.noun, OFFICE | {"zone": "Atlantis/Deep"})
    found = await list_closed_days(desk.read(), ClosedFilter(first_day=date(2026, 5, 1)))
    assert (found.closed, found.zone) == ([], "UTC")
    assert found.problem is not None
    assert "time counts day and night" in found.problem
