"""DORA's four keys by hand-made deployments: what counts, what lasts, and that nothing is no good figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.operations.domain.dora import Counted, Deployed, Key, count, failures_of, keys_of

NOW = datetime(2026, 3, 31, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)


def deployed(hour: float, status: str = "success", **more: Any) -> Deployed:
    """One that ended so many hours after the window began, 10 minutes after it began itself."""
    ended = SINCE + timedelta(hours=hour)
    values = {"environment": "production", "rollback": False, "committed_at": None, **more}
    return Deployed(deploy_id=f"d{hour}", status=status, started_at=ended - timedelta(minutes=10), finished_at=ended,
                    **values)  # fmt: skip


def test_nothing_is_no_good_figure() -> None:
    keys = keys_of(count([], SINCE), 30)
    assert set(keys.values()) == {Key("no_data", None, 0, None)}
    one = keys_of(count([deployed(1)], SINCE), 30)
    assert one["change_failure_rate"] == Key("few_data", 0.0, 1, None)  # one that went well is no elite
    assert one["time_to_restore"] == Key("no_data", None, 0, None)
    assert one["lead_time"] == Key("no_data", None, 0, None)  # nobody said when it was committed


def test_the_four_keys_and_their_bands() -> None:
    made = [
        deployed(24 * n, committed_at=SINCE + timedelta(hours=24 * n - hours))
        for n, hours in enumerate((2, 4, 6, 8, 90))
    ]
    made += [deployed(200, "critical"), deployed(203, "warning", committed_at=SINCE + timedelta(hours=202))]
    found = count(made, SINCE)
    assert (found.good, found.changes, found.failed, found.without_commit) == (6, 7, 1, 0)
    keys = keys_of(found, 30)
    assert keys["deployment_frequency"] == Key("ok", 0.2, 6, "high")
    assert keys["lead_time"] == Key("ok", 5.0, 6, "elite")  # the middle of 1, 2, 4, 6, 8, 90
    assert keys["change_failure_rate"] == Key("ok", 14.286, 7, "medium")
    assert keys["time_to_restore"] == Key("ok", 3.0, 1, "high")


def test_a_rollback_makes_the_change_before_it_a_failure() -> None:
    back = deployed(30, rollback=True)
    found = count([deployed(10), back, deployed(40)], SINCE)
    assert (found.changes, found.failed, found.rollbacks, found.good) == (2, 1, 1, 2)
    assert list(found.restore) == pytest.approx([10 / 60])  # from when going back began
    # After a critical one, it is that which is taken back, not the good one before.
    found = count([deployed(10), deployed(20, "critical"), back], SINCE)
    assert (found.changes, found.failed, found.restore) == (2, 1, (10.0,))
    # Going back fails, too: one failure, until something is good.
    bad = deployed(30, "critical", rollback=True)
    found = count([deployed(10), bad, deployed(35)], SINCE)
    assert found.failed == 1
    assert list(found.restore) == pytest.approx([5 + 10 / 60])
    # A second rollback takes nothing else back.
    found = count([deployed(10), back, deployed(31, rollback=True)], SINCE)
    assert (found.failed, len(found.restore)) == (1, 1)


def test_what_lasts_is_told_and_spoils_the_band() -> None:
    made = [deployed(1, "critical"), deployed(2), deployed(700, "critical"), deployed(710, "critical")]
    found = count(made, SINCE)
    assert (found.restore, found.open_since) == ((1.0,), (made[2].finished_at,))
    assert keys_of(found, 30)["time_to_restore"] == Key("few_data", 1.0, 1, None)
    only = count([deployed(-500, "critical")], SINCE)  # failed before the window, and lasts
    assert (only.changes, only.open_since) == (0, (SINCE - timedelta(hours=500),))
    assert keys_of(only, 30)["time_to_restore"].state == "no_data"
    # What was over before the window is not in it; what ended within is.
    assert count([deployed(-9, "critical"), deployed(-8)], SINCE).restore == ()
    assert count([deployed(-9, "critical"), deployed(1)], SINCE).restore == (10.0,)


def test_clocks_that_differ_make_no_negative_time() -> None:
    late = deployed(1, committed_at=SINCE + timedelta(hours=1, seconds=30))
    assert count([late], SINCE).lead == (0.0,)
    assert [one.restored_at for one in failures_of([deployed(1, "critical"), deployed(1)])] == [deployed(1).finished_at]


@pytest.mark.parametrize(
    ("rate", "band"), [(5, "elite"), (5.1, "high"), (10, "high"), (15, "medium"), (15.1, "low"), (100, "low")]
)
def test_bands_at_their_borders(rate: float, band: str) -> None:
    found = keys_of(Counted(good=1000, changes=1000, failed=int(rate * 10)), 30)
    assert found["change_failure_rate"].band == band


@pytest.mark.parametrize(("good", "band"), [(30, "elite"), (29, "high"), (5, "high"), (4, None)])
def test_frequency(good: int, band: str | None) -> None:
    assert keys_of(Counted(good=good, changes=good), 30)["deployment_frequency"].band == band
