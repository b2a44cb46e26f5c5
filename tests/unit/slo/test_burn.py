"""Burn rates and budgets by hand: both windows, the borders, and that too little data is never ok."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.slo.burn import PAIRS, WINDOWS, Count, fires, judge, window_text, worst
from libs.slo.model import Indicator, Objective
from libs.slo.periods import calendar, rolling

HTTP = Objective("a", "A", "", "", Indicator("availability"), 0.99, rolling("30d"))


def windows(**changed: tuple[int, int]) -> dict[int, Count]:
    """1,000 good requests in each window but those that are given as (all, bad)."""
    named = {window_text(minutes): minutes for minutes in WINDOWS}
    return dict.fromkeys(WINDOWS, Count(1000)) | {
        named[name.removeprefix("w")]: Count(*pair) for name, pair in changed.items()
    }


def test_the_windows_of_the_workbook() -> None:
    assert [window_text(minutes) for minutes in WINDOWS] == ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
    shown = [(one.severity, window_text(one.short_minutes), window_text(one.long_minutes)) for one in PAIRS]
    assert shown == [("page", "5m", "1h"), ("page", "30m", "6h"), ("ticket", "2h", "1d"), ("ticket", "6h", "3d")]
    assert [one.factor for one in PAIRS] == [14.4, 6, 3, 1]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "ok"),
        ({"w5m": (1000, 145), "w1h": (1000, 145)}, "page"),
        ({"w5m": (1000, 144), "w1h": (1000, 900)}, "ok"),  # exactly 14.4 is not above
        ({"w5m": (1000, 900), "w1h": (1000, 144)}, "ok"),  # it began just now
        ({"w5m": (1000, 0), "w1h": (1000, 900)}, "ok"),  # it is over
        ({"w5m": (0, 0), "w1h": (1000, 900)}, "ok"),  # nobody asks any more
        ({"w30m": (1000, 61), "w6h": (1000, 61)}, "page"),
        ({"w30m": (1000, 60), "w6h": (1000, 61)}, "ok"),
        ({"w2h": (1000, 31), "w1d": (1000, 31)}, "ticket"),
        ({"w6h": (1000, 11), "w3d": (1000, 11)}, "ticket"),
        ({"w6h": (1000, 10), "w3d": (1000, 11)}, "ok"),
        ({"w5m": (7, 7), "w1h": (7, 7)}, "no_data"),  # too few to say anything
        ({"w5m": (1, 1), "w1h": (8, 8)}, "page"),  # the long window says that it matters
        ({"w1h": (7, 0)}, "no_data"),
        ({"w1h": (0, 0), "w6h": (1000, 11), "w3d": (1000, 11)}, "ticket"),
    ],
)
def test_both_windows_must_be_above(changed: dict[str, tuple[int, int]], status: str) -> None:
    assert judge(HTTP, windows(**changed), Count(100_000)).status == status


def test_the_budget() -> None:
    for bad, left, status in (
        (0, 100, "ok"),
        (500, 50, "ok"),
        (999, 0.1, "ok"),
        (1000, 0, "spent"),
        (2000, -100, "spent"),
    ):
        found = judge(HTTP, windows(), Count(100_000, bad))
        assert found.left_percent == pytest.approx(left, abs=1e-6)
        assert found.status == status
    # A page is told first, whatever is left; a spent budget before a ticket, and before too little data.
    burning = windows(w5m=(1000, 500), w1h=(1000, 500))
    assert judge(HTTP, burning, Count(100_000, 2000)).status == "page"
    assert judge(HTTP, windows(w6h=(1000, 11), w3d=(1000, 11)), Count(100_000, 2000)).status == "spent"
    assert judge(HTTP, windows(w1h=(0, 0)), Count(100_000, 2000)).status == "spent"
    assert judge(HTTP, windows(w1h=(0, 0)), Count(7, 7)).left_percent is None


def test_nothing_is_no_data_and_the_worst_comes_first() -> None:
    nothing = judge(HTTP, dict.fromkeys(WINDOWS, Count()), Count())
    assert (nothing.status, nothing.left_percent, any(nothing.firing)) == ("no_data", None, False)
    assert not any(fires(pair, dict.fromkeys(WINDOWS, Count()), 0.01) for pair in PAIRS)
    assert worst([]) == "no_data"
    assert worst(["ok", "no_data", "ticket"]) == "ticket"
    assert worst(["spent", "page"]) == "page"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "began", "zone", "now", "since"),
    [
        ("1M", "2026-01-01", "UTC", "2026-03-17T12:00", "2026-03-01T00:00"),
        ("1M", "2026-01-01", "Asia/Seoul", "2026-02-28T16:00", "2026-02-28T15:00"),  # 1 March in Seoul
        ("1M", "2026-01-31", "UTC", "2026-02-28T12:00", "2026-02-28T00:00"),
        ("1M", "2026-01-31", "UTC", "2026-03-30T12:00", "2026-02-28T00:00"),
        ("1Q", "2026-01-01", "UTC", "2026-03-31T23:59", "2026-01-01T00:00"),
        ("1Q", "2026-01-01", "UTC", "2026-04-01T00:00", "2026-04-01T00:00"),
        ("2w", "2026-01-05", "UTC", "2026-01-19T00:00", "2026-01-19T00:00"),
        ("1w", "2026-01-05T06:00", "UTC", "2026-01-12T05:59", "2026-01-05T06:00"),
        ("1M", "2027-01-15", "UTC", "2026-03-17T12:00", "2026-03-15T00:00"),  # it had begun before, too
        ("1d", "2026-01-01", "America/New_York", "2026-07-01T03:00", "2026-06-30T04:00"),  # summer time
    ],
)
def test_periods_of_the_calendar(text: str, began: str, zone: str, now: str, since: str) -> None:
    found = calendar(text, datetime.fromisoformat(began), zone)
    assert found.since(at(now)) == at(since)


def test_rolling_periods() -> None:
    now = at("2026-03-17T12:00")
    for text, days in (("30d", 30), ("4w", 28), ("1M", 30), ("1Q", 90), ("36h", 1.5)):
        assert rolling(text).since(now) == now - timedelta(days=days)
