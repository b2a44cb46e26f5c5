"""The streak of weekly reports and the periods of reports, at their borders."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from libs.common.contracts.operations.streak import RECENT_DAYS, TARGET_WEEKS
from services.operations.domain.periods import last_week, month_of
from services.operations.domain.streaks import WEEK, Streak, monday, streak_of

FRIDAY = datetime(2026, 3, 6, 23, 40, tzinfo=UTC)  # of the week that begins on 2026-03-02
RECENT = timedelta(days=RECENT_DAYS)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)


def at(now: datetime, *made: datetime) -> Streak:
    return streak_of(
        {monday(one) for one in made}, max(made, default=None), now, recent=RECENT, first=min(made, default=None)
    )


def seen(now: datetime, *made: datetime) -> tuple[int, int]:
    """How many weeks in a row, and how many there should be."""
    found = at(now, *made)
    return found.weeks, found.target(TARGET_WEEKS)


def test_weeks_begin_on_monday_at_midnight_utc() -> None:
    begins = datetime(2026, 3, 9, tzinfo=UTC)
    assert (monday(begins), monday(begins - MOMENT)) == (begins, begins - WEEK)
    assert monday(FRIDAY) == datetime(2026, 3, 2, tzinfo=UTC)
    # A moment before midnight of Sunday is one week, midnight the next.
    assert seen(begins, begins - MOMENT) == (1, 1)
    assert seen(begins, begins - MOMENT, begins) == (2, 1)
    assert seen(begins + DAY, begins, begins + DAY) == (1, 1)


def test_the_target_ramps_up_with_the_weeks_since_the_first_report() -> None:
    made = [FRIDAY + WEEK * number for number in range(6)]
    ramp = [seen(made[number], *made[: number + 1]) for number in range(6)]
    assert ramp == [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 4)]
    # On the Thursday after each, before that week's report is due.
    before = [seen(made[number] + 6 * DAY, *made[: number + 1]) for number in range(6)]
    assert before == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (6, 4)]
    assert at(FRIDAY).target(TARGET_WEEKS) == TARGET_WEEKS  # without any report there is no grace
    assert all(weeks >= target for weeks, target in (*ramp, *before))


def test_a_missed_week_ends_the_streak_when_its_report_is_eight_days_old() -> None:
    made = [FRIDAY + WEEK * number for number in range(4)]
    last = made[-1]
    assert seen(last + 8 * DAY, *made) == (4, 4)
    assert seen(last + 8 * DAY + MOMENT, *made) == (0, 4)
    # The next begins anew, and the target stays.
    assert seen(last + 2 * WEEK, *made, last + 2 * WEEK) == (1, 4)


def test_a_late_report_counts_where_it_was_made_and_two_in_a_week_once() -> None:
    sunday = FRIDAY + WEEK + 2 * DAY
    assert seen(sunday, FRIDAY) == (0, 1)  # 9 days without one
    assert seen(sunday, FRIDAY, sunday) == (2, 1)  # late, in its own week
    late = sunday + DAY  # on Monday: the week before is missed for good
    assert seen(late, FRIDAY, late) == (1, 2)
    assert seen(FRIDAY + 2 * WEEK, FRIDAY, late, FRIDAY + 2 * WEEK) == (1, 2)
    assert seen(FRIDAY + DAY, FRIDAY, FRIDAY + DAY) == (1, 1)


def test_the_week_that_a_report_is_of() -> None:
    now = datetime(2026, 3, 6, 23, 40, tzinfo=UTC)
    week, next_week = last_week(now), last_week(now + timedelta(days=7))
    assert (week.label, week.start, week.end) == ("week-2026-02-27-2026-03-06", now - timedelta(days=7), now)
    assert week.until == next_week.since  # nothing between two of them, and nothing twice
    assert week.since <= now < week.until
    assert week.days == (date(2026, 2, 27), date(2026, 3, 6))


@pytest.mark.parametrize(
    ("month", "label", "start", "end", "is_over"),
    [
        (None, "2026-02", "2026-02-01", "2026-03-01", True),
        ("2026-02", "2026-02", "2026-02-01", "2026-03-01", True),
        ("2025-12", "2025-12", "2025-12-01", "2026-01-01", True),
        ("2026-03", "2026-03", "2026-03-01", "2026-03-01T00:20", False),
    ],
)
def test_the_month_that_a_report_is_of(month: str | None, label: str, start: str, end: str, *, is_over: bool) -> None:
    found = month_of(datetime(2026, 3, 1, 0, 20, tzinfo=UTC), month)
    assert (found.label, found.is_over) == (label, is_over)
    assert (found.start, found.end) == tuple(datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (start, end))


@pytest.mark.parametrize("month", ["2026-04", "9999-12", "0001-01"])
def test_a_month_that_can_not_be_reported_on(month: str) -> None:
    with pytest.raises(ValueError, match=r"has not begun|lies in the years"):
        month_of(datetime(2026, 3, 31, tzinfo=UTC), month)
