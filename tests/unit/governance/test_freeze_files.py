"""Events of calendar programs as windows: each is kept exactly, or named with why it is not."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from libs.common.problems import Invalid
from services.governance.exceptions.freeze_files import read_windows
from services.governance.frozen import occurrences

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
BERLIN = """BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE"""


def file(*events: str) -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", *events, "END:VCALENDAR", ""]
    return "\r\n".join(line for one in lines for line in one.split("\n"))


def event(*lines: str, uid: str = "1") -> str:
    return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", "SUMMARY:Weekend", *lines, "END:VEVENT"])


def begins(*lines: str, **more: Any) -> list[datetime]:
    """The first beginnings of the only window."""
    found = read_windows(file(event(*lines)), more.pop("zone", None), NOW)
    assert found.refused == ()
    return [begin for window in found.windows for begin, _ in occurrences(window, NOW)]


HOUR = "DTEND;TZID=Europe/Berlin:20261204T180000"
FRIDAYS = ("DTSTART;TZID=Europe/Berlin:20261204T170000", HOUR)


def test_a_repetition_keeps_its_hours_in_its_zone_and_leaves_days_out() -> None:
    plain = begins(*FRIDAYS, "RRULE:FREQ=WEEKLY;BYDAY=FR")
    assert plain[:3] == [datetime(2026, 12, day, 16, tzinfo=UTC) for day in (4, 11, 18)]
    for left_out in (
        "EXDATE;TZID=Europe/Berlin:20261211T170000",
        "EXDATE:20261211T160000Z",
        "EXDATE;VALUE=DATE:20261211",
    ):
        assert begins(*FRIDAYS, "RRULE:FREQ=WEEKLY;BYDAY=FR", left_out) == [plain[0], *plain[2:]]


@pytest.mark.parametrize(
    ("end", "count"),
    [
        ("COUNT=3", 3),
        ("UNTIL=20261218T160000Z", 3),
        ("UNTIL=20261218T155959Z", 2),
        ("UNTIL=20261218", 3),
        ("UNTIL=20261218T170000", 3),
    ],
)
def test_a_repetition_ends_as_its_file_says(end: str, count: int) -> None:
    assert len(begins(*FRIDAYS, f"RRULE:FREQ=WEEKLY;BYDAY=FR;{end}")) == count


def test_days_without_times_are_days_of_the_zone_that_is_said() -> None:
    lines = ("DTSTART;VALUE=DATE:20261224", "RRULE:FREQ=DAILY;COUNT=2")
    assert begins(*lines, zone="Asia/Seoul") == [datetime(2026, 12, day, 15, tzinfo=UTC) for day in (23, 24)]
    named = file("X-WR-TIMEZONE:Asia/Seoul", event(*lines))
    (window,) = read_windows(named, None, NOW).windows
    assert (window.zone, window.ends_at) == ("Asia/Seoul", datetime(2026, 12, 24, 15, tzinfo=UTC))


def test_names_of_windows_zones_are_known() -> None:
    lines = [line.replace("Europe/Berlin", "W. Europe Standard Time") for line in FRIDAYS]
    (window,) = read_windows(file(BERLIN, event(*lines)), None, NOW).windows
    assert (window.zone, window.starts_at) == ("Europe/Berlin", datetime(2026, 12, 4, 16, tzinfo=UTC))


def test_moved_called_off_and_added_instants() -> None:
    series = event(*FRIDAYS, "RRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=4")
    instant = "RECURRENCE-ID;TZID=Europe/Berlin:202612{}T170000"
    moved = event(instant.format(11), "DTSTART:20261212T080000Z", "DURATION:PT2H")
    off = event(instant.format(18), "DTSTART:20261218T160000Z", "DTEND:20261218T170000Z", "STATUS:CANCELLED")
    found = read_windows(file(series, moved, off), None, NOW)
    assert (found.refused, found.cancelled_count) == ((), 1)
    times = sorted(begin for window in found.windows for begin, _ in occurrences(window, NOW))
    assert times == [datetime(2026, 12, day, hour, tzinfo=UTC) for day, hour in ((4, 16), (12, 8), (25, 16))]
    assert found.windows[0].except_on == [date(2026, 12, 11), date(2026, 12, 18)]
    assert len(begins(*FRIDAYS, "RDATE;TZID=Europe/Berlin:20261205T170000,20261206T170000")) == 3


def test_what_is_over_or_called_off_freezes_nothing() -> None:
    over = event("DTSTART:20200101T000000Z", "DTEND:20200102T000000Z")
    off = event("DTSTART:20270101T000000Z", "DTEND:20270102T000000Z", "STATUS:CANCELLED")
    found = read_windows(file(over, off), None, NOW)
    assert (found.windows, found.past_count, found.cancelled_count) == ((), 1, 1)


WEEK = ("DTSTART:20270101T000000Z", "DTEND:20270102T000000Z")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("DTSTART:20270101T000000", "DTEND:20270102T000000"), "without a zone"),
        (("DTSTART;TZID=Mars/Olympus:20270101T000000", "DTEND;TZID=Mars/Olympus:20270102T000000"), "is not known"),
        (("DTEND:20270102T000000Z",), "no DTSTART"),
        (("DTSTART:20270101T000000Z",), "neither DTEND nor DURATION"),
        (("DTSTART:20270101T000000Z", "DTEND;VALUE=DATE:20270102"), "not both days or both times"),
        (("DTSTART:20270102T000000Z", "DTEND:20270101T000000Z"), "does not end after it begins"),
        (("DTSTART:20270101T000000Z", "DTEND:20290101T000000Z"), "at most 366 days"),
        (("DTSTART:20270101T000000Z", "DURATION:-P1D"), "does not end after it begins"),
        ((*WEEK, "DURATION:P1D"), "both DTEND and DURATION"),
        ((*WEEK, "RRULE:FREQ=SECONDLY"), "FREQ is one of"),
        ((*WEEK, "RRULE:FREQ=DAILY;BYHOUR=1,2,3"), "BYHOUR is no part"),
        ((*WEEK, "RRULE:FREQ=DAILY;COUNT=999999999"), "COUNT is 1 to"),
        ((*WEEK, "RRULE:FREQ=DAILY;INTERVAL=0"), ""),
        ((*WEEK, "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=5"), "never begins"),
        ((*WEEK, "RRULE:FREQ=DAILY;BYMONTHDAY=" + ",".join(["1"] * 400)), ""),
        ((*WEEK, "RRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY"), "several RRULEs"),
        ((*WEEK, "RRULE:FREQ=WEEKLY", "EXRULE:FREQ=DAILY"), "EXRULE"),
        ((*WEEK, "RRULE:FREQ=WEEKLY", "RDATE:20270105T000000Z"), "RDATE beside RRULE"),
        ((*WEEK, "RRULE:FREQ=WEEKLY", "EXDATE:20270108T070000Z"), "names a time at which it does not begin"),
        ((*WEEK, "RECURRENCE-ID;RANGE=THISANDFUTURE:20270101T000000Z"), "THISANDFUTURE"),
        (("DTSTART:00010101T000000Z", "DTEND:00010102T000000Z", "RRULE:FREQ=DAILY"), "2000 at the earliest"),
    ],
)
def test_what_can_t_be_kept_is_named(lines: tuple[str, ...], why: str) -> None:
    begun = time.perf_counter()
    found = read_windows(file(event(*lines, uid="odd")), None, NOW)
    assert [(one.uid, one.summary) for one in found.refused] == [("odd", "Weekend")]
    assert why in found.refused[0].why
    assert time.perf_counter() - begun < 2


def test_a_file_that_is_none_or_too_large_is_refused() -> None:
    for text in ("", "BEGIN:VCALENDAR", "BEGIN:VEVENT\r\nEND:VEVENT", "BEGIN:VCALENDAR\r\n" * 5_000, "x" * 10_000):
        with pytest.raises(Invalid):
            read_windows(text, None, NOW)
    with pytest.raises(Invalid, match="at most 1000 are read"):
        read_windows(file(*(event(*WEEK, uid=str(number)) for number in range(1_001))), None, NOW)
