"""Schedules: the newest instant and the next, over clock changes, beside a walk of every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.schedules import Schedule, ScheduleError, chosen, read_schedule

CRONS = [
    "45 0 * * *",
    "20 * * * *",
    "*/10 * * * *",
    "30 1 * * *",
    "30 2 * * *",
    "15 2 * * 0",
    "5 0 1 * *",
    "0 9 * * 1-5",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Seoul", "Australia/Lord_Howe"]


def forwards(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """Every instant, one after another from far before, as a scheduler that never stops would meet them."""
    found: set[datetime] = set()
    for instant in CronSim(schedule.cron, start.astimezone(ZoneInfo(schedule.zone))):
        at = instant.astimezone(UTC)
        if at > end:
            return sorted(found)
        found.add(at)
    raise AssertionError("a schedule never ends")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_every_look_sees_the_instants_of_a_run_that_never_stops(cron: str, zone: str) -> None:
    schedule = Schedule(cron, zone)
    for day in (
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 10, 25, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
    ):
        walk = forwards(schedule, day - timedelta(days=70), day + timedelta(days=3))
        at = day - timedelta(hours=20)
        while at < day + timedelta(hours=40):
            want = max(one for one in walk if one <= at)
            assert schedule.latest(at) == want, at
            at += timedelta(minutes=41)


@given(
    st.sampled_from(CRONS), st.sampled_from(ZONES),
    st.integers(0, 2 * 366 * 86_400),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_the_newest_is_not_behind_and_the_next_is(cron: str, zone: str, second: int) -> None:
    schedule, at = Schedule(cron, zone), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    latest, after = schedule.latest(at), schedule.after(at)
    assert latest <= at < after
    assert schedule.latest(latest) == latest
    assert schedule.latest(after) == after


def test_a_job_at_a_fixed_hour_runs_once_on_the_days_when_clocks_change() -> None:
    night = Schedule("30 2 * * *", "Europe/Berlin")
    backwards = {night.latest(datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=minute)) for minute in range(200)}
    assert len({one for one in backwards if one.day == 25}) == 1
    forward = {night.latest(datetime(2026, 3, 29, tzinfo=UTC) + timedelta(minutes=minute)) for minute in range(200)}
    assert {one for one in forward if one.day == 29} == {datetime(2026, 3, 29, 1, 0, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("20 * * * *", Schedule("20 * * * *")),
        ("20 * * * * Asia/Seoul", Schedule("20 * * * *", "Asia/Seoul")),
        ("0 7 * * MON", Schedule("0 7 * * MON")),
        ("*/2 * * * * *", Schedule("*/2 * * * * *")),
        ("0 30 4 * * SUN", Schedule("0 30 4 * * SUN")),
        ("0 7 * * 1-5 UTC", Schedule("0 7 * * 1-5")),
        ("off", None),
    ],
)
def test_settings_are_read(text: str, want: Schedule | None) -> None:
    assert read_schedule(text) == want


@pytest.mark.parametrize(
    "text", ["", "every day", "61 * * * *", "* * * *", "0 0 30 2 *", "20 * * * * Mars/Olympus", "off off"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        read_schedule(text)


def test_settings_name_jobs_of_the_service() -> None:
    own = {"a": Schedule("1 * * * *"), "b": Schedule("2 * * * *")}
    assert chosen("tracker", own, {"audit.x": "off"}) == own
    assert chosen("tracker", own, {"tracker.*": "off", "tracker.b": "3 * * * *"}) == {
        "a": None,
        "b": Schedule("3 * * * *"),
    }
    with pytest.raises(ScheduleError, match="tracker has no job 'c'; it has a, b"):
        chosen("tracker", own, {"tracker.c": "off"})
    with pytest.raises(ScheduleError, match=r"the schedule of tracker\.a: 'soon' is no cron"):
        chosen("tracker", own, {"tracker.a": "soon"})
