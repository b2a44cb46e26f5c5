"""Quiet hours and digests: windows over midnight, and nights in which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifier.domain.quiet import DAY_MINUTES, Pace, Window, all_week

BERLIN, SEOUL = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Seoul")
EVERY_DAY = frozenset(range(7))
NIGHT = Window(EVERY_DAY, 22 * 60, 7 * 60)
NAMES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
         "Africa/Casablanca", "America/Sao_Paulo")  # fmt: skip
ZONES = [ZoneInfo(name) for name in NAMES]


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-02T21:59", None),
        ("2026-03-02T22:00", "2026-03-03T07:00"),
        ("2026-03-03T00:00", "2026-03-03T07:00"),
        ("2026-03-03T06:59:59", "2026-03-03T07:00"),
        ("2026-03-03T07:00", None),
        ("2026-03-28T23:00", "2026-03-29T07:00"),  # clocks are set forward at two
        ("2026-10-24T23:00", "2026-10-25T07:00"),  # and back at three
    ],
)
def test_a_night_ends_in_the_morning(now: str, until: str | None) -> None:
    found = Pace(BERLIN, (NIGHT,)).quiet_until(at(now))
    assert found == at(until or now)


def test_windows_that_follow_each_other_are_one() -> None:
    weekend = Window(frozenset({5, 6}), 0, 0)
    pace = Pace(BERLIN, (NIGHT, weekend))
    assert pace.quiet_until(at("2026-03-06T23:00")) == at("2026-03-09T07:00")  # from Friday night to Monday morning
    assert pace.quiet_until(at("2026-03-07T12:00")) == at("2026-03-09T07:00")


def test_a_window_of_some_days_begins_on_these() -> None:
    pace = Pace(SEOUL, (Window(frozenset({4}), 18 * 60, 9 * 60),))  # Friday evening
    assert pace.quiet_until(at("2026-03-06T19:00", SEOUL)) == at("2026-03-07T09:00", SEOUL)
    assert pace.quiet_until(at("2026-03-07T08:00", SEOUL)) == at("2026-03-07T09:00", SEOUL)
    assert pace.quiet_until(at("2026-03-07T19:00", SEOUL)) == at("2026-03-07T19:00", SEOUL)


def test_what_the_clocks_show_twice_is_quiet_both_times_and_what_they_never_show_ends_with_the_change() -> None:
    early = Pace(BERLIN, (Window(EVERY_DAY, 60, 150),))  # 01:00 to 02:30
    assert early.quiet_until(at("2026-10-25T01:30")) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # the second 02:30
    assert early.quiet_until(at("2026-03-29T01:30")) == datetime(2026, 3, 29, 1, tzinfo=UTC)  # 03:00, there is no 02:30
    late = Pace(BERLIN, (Window(EVERY_DAY, 150, 240),))  # 02:30 to 04:00
    gap = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert late.quiet_until(gap) == at("2026-03-29T04:00")
    assert late.quiet_until(gap - timedelta(seconds=1)) == gap - timedelta(seconds=1)


def test_digests_come_at_round_times_and_not_in_the_quiet() -> None:
    pace = Pace(BERLIN, (NIGHT,), 30)
    assert pace.due_at(at("2026-03-02T09:00")) == at("2026-03-02T09:30")
    assert pace.due_at(at("2026-03-02T09:29:59")) == at("2026-03-02T09:30")
    assert pace.due_at(at("2026-03-02T21:45")) == at("2026-03-03T07:00")
    assert pace.due_at(at("2026-03-03T02:00")) == at("2026-03-03T07:00")
    assert Pace(BERLIN, (), DAY_MINUTES).due_at(at("2026-10-25T12:00")) == at("2026-10-26T00:00")
    assert Pace(BERLIN, (), 7 * 60).due_at(at("2026-03-02T22:30")) == at("2026-03-03T00:00")
    assert Pace().due_at(at("2026-03-02T22:30")) == at("2026-03-02T22:30")


def test_a_week_without_a_loud_minute_is_found() -> None:
    assert all_week([Window(EVERY_DAY, 0, 0)])
    assert all_week([Window(EVERY_DAY, 0, 12 * 60), Window(EVERY_DAY, 12 * 60, 0)])
    assert not all_week([Window(EVERY_DAY, 0, DAY_MINUTES - 1)])
    assert not all_week([Window(frozenset(range(6)), 0, 0)])
    assert not all_week([])


MOMENTS = st.datetimes(  # in UTC
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001
    max_value=datetime(2035, 12, 31),  # noqa: DTZ001
)
WINDOWS = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, DAY_MINUTES - 1),
    st.integers(0, DAY_MINUTES - 1),
)
PACES = st.builds(
    Pace, st.sampled_from(ZONES), st.lists(WINDOWS, max_size=4).map(tuple), st.sampled_from([0, 5, 45, 60, 600, 1440])
).filter(lambda pace: not all_week(pace.windows))


def _shown(pace: Pace, moment: datetime) -> bool:
    """Whether the clock on the wall shows a quiet minute, looked up with no arithmetic of zones."""
    wall = moment.astimezone(pace.zone)
    for window in pace.windows:
        for back in (0, 1):
            passed = wall.hour * 60 + wall.minute + back * DAY_MINUTES - window.begins
            if (wall.weekday() - back) % 7 in window.days and 0 <= passed < window.length:
                return True
    return False


def _near_a_change(pace: Pace, moment: datetime) -> bool:
    """Within three hours of a change of the clocks, where the wall shows minutes twice."""
    hours = [(moment + timedelta(hours=hours)).astimezone(pace.zone).utcoffset() for hours in range(-3, 4)]
    return len(set(hours)) > 1


@settings(max_examples=400, deadline=None)
@given(PACES, MOMENTS)
def test_nothing_is_sent_while_the_clock_shows_a_quiet_minute(pace: Pace, naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    until = pace.quiet_until(moment)
    assert until >= moment
    assert not _shown(pace, until)
    assert pace.quiet_until(until) == until
    if not _near_a_change(pace, moment):
        assert (until > moment) == _shown(pace, moment)
    # All between is quiet, too: nothing waits longer than it must.
    for part in range(1, 8):
        between = moment + (until - moment) * part / 8
        assert _shown(pace, between) or _near_a_change(pace, between) or between >= until


@settings(max_examples=400, deadline=None)
@given(PACES, MOMENTS, st.integers(0, 10_000))
def test_a_digest_comes_later_and_what_comes_later_never_earlier(pace: Pace, naive: datetime, more: int) -> None:
    moment = naive.replace(tzinfo=UTC)
    due, following = pace.due_at(moment), pace.due_at(moment + timedelta(seconds=more))
    assert moment <= due <= following
    if pace.digest_minutes:
        assert due > moment
        assert not pace.windows or not _shown(pace, due)
        if not pace.windows:
            assert due - moment <= timedelta(minutes=pace.digest_minutes * 1.5)
