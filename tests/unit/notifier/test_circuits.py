"""What follows for a circuit from what was seen; and rates that are honest about nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.domain.circuits import Circuit, Policy, Seen, after
from services.notifier.domain.rates import SUMS, figures, percent

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
POLICY = Policy()
WAITING = Circuit(7, "a.b.c", "global", "closed", 2, NOW - timedelta(minutes=1), "503")
OPEN = replace(WAITING, state="open", failure_count=3, opened_at=NOW, probe_at=NOW + timedelta(minutes=1))
PROBED = replace(OPEN, state="half_open", probe_id=5)


def failure(*delivery_ids: int, began_at: datetime = NOW, error: str = "500") -> Seen:
    return Seen(7, "a.b.c", "global", failed=True, began_at=began_at, error=error, delivery_ids=set(delivery_ids))


def success(*delivery_ids: int, failed: bool = False) -> Seen:
    return replace(failure(*delivery_ids), well=True, failed=failed)


def test_the_third_failure_in_a_row_opens() -> None:
    first = after(None, failure(1), NOW, POLICY)
    assert first is not None
    second = after(first, failure(2), NOW, POLICY)
    assert second is not None
    assert (first.state, first.failure_count, second.state) == ("closed", 1, "closed")
    third = after(second, failure(3), NOW, POLICY)
    assert third is not None
    assert (third.state, third.opened_at, third.probe_at) == ("open", NOW, NOW + timedelta(minutes=1))


def test_what_was_under_way_when_a_failure_was_counted_is_not_one_more() -> None:
    assert after(WAITING, failure(1, began_at=WAITING.failed_at - timedelta(seconds=5)), NOW, POLICY) == WAITING


def test_a_failure_from_the_future_does_not_stop_the_count() -> None:
    ahead = replace(WAITING, failed_at=NOW + timedelta(hours=3))
    found = after(ahead, failure(1), NOW, POLICY)
    assert found is not None
    assert (found.state, found.failed_at) == ("open", NOW)


def test_a_success_forgets_and_releases() -> None:
    assert after(None, success(1), NOW, POLICY) is None
    assert after(WAITING, success(1), NOW, POLICY) is None
    for broken in (OPEN, PROBED):
        healed = after(broken, success(1), NOW, POLICY)
        assert healed is not None
        assert (healed.state, healed.failure_count, healed.probe_id, healed.probe_at) == ("releasing", 0, None, None)


def test_a_failure_after_a_success_is_the_first_of_its_own() -> None:
    fresh = after(None, success(1, failed=True), NOW, POLICY)
    assert fresh is not None
    assert (fresh.state, fresh.failure_count) == ("closed", 1)
    healed = after(PROBED, success(5, failed=True), NOW, POLICY)
    assert healed is not None
    assert (healed.state, healed.failure_count) == ("releasing", 1)


def test_a_bad_probe_waits_twice_as_long_up_to_the_longest() -> None:
    found, waits = PROBED, []
    for _ in range(7):
        known = after(found, failure(5), NOW, POLICY)
        assert known is not None
        assert known.probe_at is not None
        assert (known.state, known.probe_id) == ("open", None)
        waits.append((known.probe_at - NOW) / timedelta(minutes=1))
        found = replace(known, state="half_open", probe_id=5)
    assert waits == [2, 4, 8, 16, 30, 30, 30]


def test_another_failure_while_a_probe_is_sent_does_not_end_it() -> None:
    found = after(PROBED, failure(9), NOW, POLICY)
    assert found is not None
    assert (found.state, found.probe_id, found.failure_count) == ("half_open", 5, 4)


def test_what_fails_while_it_is_released_counts_from_the_beginning() -> None:
    found = replace(WAITING, state="releasing", failure_count=0)
    for count, state in ((1, "releasing"), (2, "releasing"), (3, "open")):
        known = after(found, failure(1), NOW, POLICY)
        assert known is not None
        assert (known.failure_count, known.state) == (count, state)
        found = known


def test_errors_are_shortened() -> None:
    seen = Seen(7, "a.b.c", "global")

    class Attempt:
        delivery_id, target, event_name, site, at, well, error = 1, 7, "a.b.c", "global", NOW, False, "x" * 5000

    seen.add(Attempt())
    assert len(seen.error) == 300


@pytest.mark.parametrize(
    ("part", "whole", "wanted"), [(0, 0, None), (0, 3, 0.0), (1, 3, 33.33), (3, 3, 100.0), (99_999, 100_000, 99.99)]
)
def test_percent_of_nothing_is_none_and_never_whole_while_something_is_missing(
    part: int, whole: int, wanted: float | None
) -> None:
    assert percent(part, whole) == wanted


def test_what_is_suppressed_counts_in_no_rate() -> None:
    sums = dict.fromkeys(SUMS, 0) | {"delivered_count": 1, "suppressed_count": 99}
    found = figures(sums)
    assert (found["success_rate_percent"], found["attempt_success_rate_percent"]) == (100.0, None)
    assert figures(dict.fromkeys(SUMS, 0) | {"suppressed_count": 9})["success_rate_percent"] is None
