"""Business calendars, against an implementation that walks minute by minute and against the library workclock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from time import process_time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
import workclock
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracker.domain.calendars import ALWAYS, HORIZON, Calendar, NeverOpen, Span

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NINE_TO_FIVE: tuple[Span, ...] = ((540, 1020),)
WEEKDAYS = (NINE_TO_FIVE,) * 5 + ((), ())
BERLIN = Calendar(WEEKDAYS, "Europe/Berlin")
# Clocks change at night, at midnight, by half an hour, on Sunday or on another day, in the south, or never.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Seoul",
    "Asia/Beirut",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Kathmandu",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- A second implementation: slow, and simple enough to be right. It knows nothing but what a wall clock shows. ---


def walked_open(calendar: Calendar, at: datetime) -> bool:
    wall = at.astimezone(ZoneInfo(calendar.zone))
    spans = calendar.days.get(wall.date())
    if spans is None:
        spans = () if wall.date() in calendar.holidays(wall.year) else calendar.week[wall.weekday()]
    return any(start <= wall.hour * 60 + wall.minute < end for start, end in spans)


def walked_between(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    total, at = timedelta(), start
    while at < end:
        then = min(at.replace(second=0, microsecond=0) + MINUTE, end)
        total += (then - at) if walked_open(calendar, at) else timedelta()
        at = then
    return total


def walked_add(calendar: Calendar, start: datetime, working: timedelta) -> datetime:
    left, at = working, start
    while left > timedelta():
        then = at.replace(second=0, microsecond=0) + MINUTE
        if walked_open(calendar, at):
            if then - at >= left:
                return at + left
            left -= then - at
        at = then
    return at


@st.composite
def day_spans(draw: st.DrawFn) -> tuple[Span, ...]:
    edges = sorted(draw(st.sets(st.integers(0, 96).map(lambda quarter: quarter * 15), max_size=6)))
    return tuple((edges[place], edges[place + 1]) for place in range(0, len(edges) - 1, 2))


# Around changes of clocks in both directions, and the day that Samoa skipped.
MOMENTS = (
    "2026-03-08",
    "2026-03-29",
    "2026-04-05",
    "2026-10-04",
    "2026-10-25",
    "2026-11-01",
    "2018-11-04",
    "2011-12-29",
)
starts = st.builds(
    lambda day, back, seconds, micros: utc(day) - back * DAY + timedelta(seconds=seconds, microseconds=micros),
    st.sampled_from(MOMENTS),
    st.integers(0, 3),
    st.integers(0, 2 * 86400),
    st.sampled_from((0, 0, 1, 999_999)),
)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    week = tuple(draw(st.lists(day_spans(), min_size=7, max_size=7)))
    around = [utc(day).date() + shift * DAY for day in MOMENTS for shift in range(-3, 6)]
    off = draw(st.frozensets(st.sampled_from(around), max_size=8))
    days = draw(st.dictionaries(st.sampled_from(around), day_spans(), max_size=8))
    return Calendar(week, draw(st.sampled_from(ZONES)), lambda year: {day for day in off if day.year == year}, days)


@settings(max_examples=100, deadline=None)
@given(calendars(), starts, st.integers(0, 5 * 86400))
def test_between_is_what_walking_by_the_minute_counts(calendar: Calendar, start: datetime, seconds: int) -> None:
    end = start + timedelta(seconds=seconds)
    # A zone's change may fall within a minute only in times long gone; all of ours are on whole minutes.
    assert calendar.between(start, end) == walked_between(calendar, start, end)


@settings(max_examples=60, deadline=None)
@given(calendars(), starts, st.integers(0, 30 * 3600))
def test_add_ends_where_walking_by_the_minute_ends(calendar: Calendar, start: datetime, seconds: int) -> None:
    working = timedelta(seconds=seconds)
    if calendar.between(start, start + 21 * DAY) < working:
        return  # the walk would take too long
    assert calendar.add(start, working) == walked_add(calendar, start, working)


@settings(max_examples=100, deadline=None)
@given(calendars(), starts)
def test_is_open_is_what_the_wall_says(calendar: Calendar, start: datetime) -> None:
    assert calendar.is_open(start) == walked_open(calendar, start)


@settings(max_examples=100, deadline=None)
@given(calendars(), starts, st.integers(0, 10**6), st.integers(0, 10**6))
def test_laws(calendar: Calendar, start: datetime, first: int, second: int) -> None:
    one, two = timedelta(seconds=first), timedelta(seconds=second)
    try:
        end = calendar.add(start, one + two)
    except NeverOpen:
        return
    assert calendar.between(start, end) == one + two
    assert calendar.add(calendar.add(start, one), two) == end, "in two steps it is the same"
    assert (
        calendar.between(start, calendar.add(start, one)) + calendar.between(calendar.add(start, one), end) == one + two
    )
    if one + two:
        assert calendar.between(start, end - timedelta(microseconds=1)) < one + two, "and not an instant earlier"


@settings(max_examples=100, deadline=None)
@given(calendars(), starts)
def test_next_open_is_the_first_open_instant(calendar: Calendar, start: datetime) -> None:
    try:
        at = calendar.next_open(start)
    except NeverOpen:
        assert calendar.between(start, start + 399 * DAY) == timedelta()
        return
    assert calendar.is_open(at)
    assert calendar.between(start, at) == timedelta()
    assert (at == start) == calendar.is_open(start)


@cache
def twice_or_never(zone: str) -> frozenset[int]:
    """The minutes of the wall that come twice or never on some day: for hours that end there, opinions differ."""
    found: set[int] = set()
    clock = ZoneInfo(zone)
    for number in range(25 * 365):
        noon = datetime(2011, 12, 1, 12, tzinfo=UTC) + number * DAY
        if noon.astimezone(clock).utcoffset() == (noon + DAY).astimezone(clock).utcoffset():
            continue
        for day in (noon, noon + DAY):
            for minute in (*range(5 * 60), *range(22 * 60, 1440)):
                wall = datetime.combine(day.date(), time(minute // 60, minute % 60), clock)
                if wall.utcoffset() != wall.replace(fold=1).utcoffset():
                    found.add(minute)
    return frozenset(found)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Calendar, workclock.Schedule]:
    """The same hours twice. workclock has whole minutes of a day and no own days; holidays it has."""
    zone = draw(st.sampled_from([zone for zone in ZONES if zone != "Pacific/Apia"]))  # it left out a whole day
    plain = [minute for minute in range(1440) if minute not in twice_or_never(zone)]
    start, end = sorted(draw(st.sets(st.sampled_from(plain), min_size=2, max_size=2)))
    weekdays = sorted(draw(st.sets(st.integers(0, 6), min_size=1)))
    off = draw(st.frozensets(st.sampled_from([date(2026, 3, 2) + number * DAY for number in range(60)]), max_size=10))
    hours = time(start // 60, start % 60), time(end // 60, end % 60)
    schedule = workclock.Schedule(
        [workclock.WorkDay(*hours, days=weekdays), workclock.Holidays(sorted(off))], time_zone=ZoneInfo(zone)
    )
    week = tuple(((start, end),) if day in weekdays else () for day in range(7))
    return Calendar(week, zone, lambda year: {day for day in off if day.year == year}), schedule


@settings(max_examples=100, deadline=None)
@given(schedules(), starts, st.integers(1, 200 * 3600))
def test_workclock_says_the_same(pair: tuple[Calendar, workclock.Schedule], start: datetime, seconds: int) -> None:
    calendar, schedule = pair
    working = timedelta(seconds=seconds)
    assert calendar.between(start, start + working) == schedule.between(start, start + working)
    try:
        end = calendar.add(start, working)
    except NeverOpen:
        return
    assert end == schedule.add(start, working)


# --- Written out by hand ---


def test_a_weekend_is_skipped() -> None:
    # Friday 27 November 2026, 16:00 in Berlin is 15:00 UTC: one hour is left of that day.
    assert BERLIN.add(utc("2026-11-27T15:00"), 8 * HOUR) == utc("2026-11-30T15:00")
    assert BERLIN.between(utc("2026-11-27T15:00"), utc("2026-11-30T15:00")) == 8 * HOUR


def test_the_end_of_a_day_comes_before_the_begin_of_the_next() -> None:
    assert BERLIN.add(utc("2026-11-27T08:00"), 8 * HOUR) == utc("2026-11-27T16:00")
    assert BERLIN.add(utc("2026-11-27T08:00"), timedelta()) == utc("2026-11-27T08:00")
    assert BERLIN.add(utc("2026-11-28T08:00"), timedelta()) == utc("2026-11-28T08:00"), "nothing to wait for"


def test_an_hour_that_the_wall_shows_twice_counts_twice() -> None:
    nights = Calendar((((0, 360),),) * 7, "Europe/Berlin")  # 00:00 to 06:00
    assert nights.between(utc("2026-10-24T12:00"), utc("2026-10-25T12:00")) == 7 * HOUR
    assert nights.between(utc("2026-03-28T12:00"), utc("2026-03-29T12:00")) == 5 * HOUR
    assert nights.between(utc("2026-03-27T12:00"), utc("2026-03-28T12:00")) == 6 * HOUR


def test_a_span_that_ends_within_the_repeated_hour_is_open_twice() -> None:
    early = Calendar((((0, 150),),) * 7, "Europe/Berlin")  # until 02:30, and 02:00 to 03:00 comes twice
    assert early.between(utc("2026-10-24T22:00"), utc("2026-10-25T12:00")) == 3.5 * HOUR - 0.5 * HOUR
    assert early.is_open(utc("2026-10-25T00:15"))
    assert not early.is_open(utc("2026-10-25T00:45"))
    assert early.is_open(utc("2026-10-25T01:15")), "02:15 for the second time"
    assert early.add(utc("2026-10-25T00:15"), HOUR / 2) == utc("2026-10-25T01:15")


def test_a_day_that_never_was_has_no_working_time() -> None:
    samoa = Calendar((((0, 1440),),) * 7, "Pacific/Apia", days={date(2011, 12, 30): ((0, 1440),)})
    assert samoa.between(utc("2011-12-29T10:00"), utc("2011-12-31T10:00")) == 48 * HOUR
    assert (
        Calendar(((),) * 7, "Pacific/Apia", days={date(2011, 12, 30): ((0, 1440),)}).between(
            utc("2011-12-25T00:00"), utc("2012-01-05T00:00")
        )
        == timedelta()
    )


def test_holidays_close_and_own_days_have_the_last_word() -> None:
    christmas = {date(2026, 12, 25), date(2026, 12, 26)}
    calendar = Calendar(
        WEEKDAYS,
        "Europe/Berlin",
        lambda year: {day for day in christmas if day.year == year},
        {date(2026, 12, 24): ((540, 720),), date(2026, 12, 26): ((600, 660),), date(2026, 12, 28): ()},
    )
    # 3 h on Thursday (24th), none on the 25th, 1 h on Saturday, none on Monday, the rest on Tuesday.
    assert calendar.add(utc("2026-12-24T08:00"), 5 * HOUR) == utc("2026-12-29T09:00")


def test_always_is_plain_time() -> None:
    start = utc("2026-03-28T23:59:59.999999")
    assert ALWAYS.add(start, 50 * HOUR) == start + 50 * HOUR
    assert ALWAYS.between(start, start + 50 * HOUR) == 50 * HOUR
    assert ALWAYS.is_open(start)
    assert ALWAYS.next_open(start) == start
    ALWAYS.check_from(start)


def test_the_same_instant_in_another_zone_is_the_same() -> None:
    start = utc("2026-10-23T15:00")
    seoul = start.astimezone(ZoneInfo("Asia/Seoul"))
    assert BERLIN.add(seoul, 3 * HOUR) == BERLIN.add(start, 3 * HOUR)
    assert BERLIN.add(seoul, 3 * HOUR).tzinfo is UTC


def test_backwards_there_is_no_working_time() -> None:
    assert BERLIN.between(utc("2026-10-23T15:00"), utc("2026-10-20T15:00")) == timedelta()
    with pytest.raises(ValueError, match="negative"):
        BERLIN.add(utc("2026-10-23T15:00"), -HOUR)
    with pytest.raises(ValueError, match="zone"):
        BERLIN.add(datetime(2026, 10, 23), HOUR)  # noqa: DTZ001


@pytest.mark.parametrize("spans", [((60, 60),), ((0, 1441),), ((-1, 5),), ((60, 120), (90, 150)), ((60, 120), (0, 30))])
def test_spans_that_are_no_hours_are_refused(spans: tuple[Span, ...]) -> None:
    with pytest.raises(ValueError, match="spans"):
        Calendar((spans,) * 7)


def test_what_is_no_week_or_no_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="seven"):
        Calendar((NINE_TO_FIVE,) * 6)
    with pytest.raises(ZoneInfoNotFoundError):
        Calendar(WEEKDAYS, "Europe/Atlantis")


def test_a_calendar_that_never_opens_is_refused_and_bounded() -> None:
    start = utc("2026-11-28T00:00")
    never = Calendar(((),) * 7, "Europe/Berlin")
    for refused in (never.check_from, never.next_open):
        with pytest.raises(NeverOpen):
            refused(start)
    with pytest.raises(NeverOpen):
        never.add(start, HOUR)
    with pytest.raises(NeverOpen):
        ALWAYS.add(start, HORIZON + HOUR)


def test_a_long_closure_is_found_wherever_it_lies() -> None:
    start = date(2027, 6, 1)
    closed = {start + number * DAY: () for number in range(399)}
    Calendar((NINE_TO_FIVE,) * 7, days=closed).check_from(utc("2026-11-28T00:00"))
    closed[start + 399 * DAY] = ()
    with pytest.raises(NeverOpen, match="400 days from 2027-05-31"):
        Calendar((NINE_TO_FIVE,) * 7, days=closed).check_from(utc("2026-11-28T00:00"))


def test_years_are_walked_by_days() -> None:
    start = utc("2026-01-01T00:00")
    began = process_time()
    BERLIN.between(start, start + 3650 * DAY)
    assert process_time() - began < 1.0, "ten years are 3,650 steps and not five million"
