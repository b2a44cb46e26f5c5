"""Which events match, what follows from an answer, and how much of each lane is sent at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.notifier.domain.attempts import (
    LONG,
    SHORT,
    after_answer,
    after_silence,
    delay_s,
    retry_after_s,
    sentence,
)
from services.notifier.domain.lanes import AHEAD, MAX_WINDOW, Lanes
from services.notifier.domain.matching import Filters, type_pattern

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
VERDICT: dict[str, Any] = {
    "gate": "release",
    "rules": [
        {"id": "tests", "passed": False, "owner_role": "operator"},
        {"id": "coverage", "passed": True, "owner_role": "manager"},
    ],
}
ITEM: dict[str, Any] = {"item": {"gate": "operations", "rule_id": "preflight", "priority": 1, "owner_role": "owner"}}
RAISED = ITEM | {"targets": [{"kind": "role", "name": "manager"}, {"kind": "user", "name": "operator"}]}


@pytest.mark.parametrize(
    ("types", "name", "fits"),
    [
        (["governance.gate.decided"], "governance.gate.decided", True),
        (["governance.gate.decided"], "governance.gate.decided_too", False),
        (["governance.*"], "governance.gate.decided", True),
        (["*"], "tracker.item.opened", True),
        (["*.opened"], "tracker.item.opened", True),
        (["tracker.item", "audit.*"], "tracker.item.opened", False),
        (["gov.rnance.gate.decided"], "governance.gate.decided", False),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_does(types: list[str], name: str, fits: bool) -> None:
    assert bool(type_pattern(types).fullmatch(name)) is fits


@pytest.mark.parametrize(
    ("asked", "data", "fits"),
    [
        ({}, {}, True),
        ({"gates": {"release"}}, VERDICT, True),
        ({"gates": {"release"}}, ITEM, False),
        ({"gates": {"release"}}, {}, False),
        ({"rules": {"tests"}}, VERDICT, True),
        ({"rules": {"coverage"}}, VERDICT, False),  # it passed
        ({"rules": {"preflight"}, "priorities": {1}}, ITEM, True),
        ({"rules": {"preflight"}, "priorities": {2}}, ITEM, False),
        ({"roles": {"manager"}}, RAISED, True),
        ({"roles": {"operator"}}, RAISED, False),  # a user of that name is no role
        ({"roles": {"operator"}}, VERDICT, True),
        ({"roles": {"manager"}}, VERDICT, False),
        ({"rules": {"x"}}, {"rules": "odd", "targets": 7, "item": None}, False),
    ],
)
def test_an_event_that_lacks_what_is_asked_does_not_match(asked: Any, data: Any, fits: bool) -> None:
    assert Filters(**{name: frozenset(values) for name, values in asked.items()}).match(data) is fits


def test_delays_grow_up_to_four_hours_and_take_about_seventeen_in_all() -> None:
    delays = [delay_s(attempt, 0.5) for attempt in range(1, LONG.max_attempts)]
    assert delays[:4] == [5, 15, 45, 135]
    assert delays[-1] == LONG.max_delay_s
    assert 16 < sum(delays) / 3600 < 18
    assert (delay_s(1, 0), delay_s(1, 1)) == pytest.approx((4, 6))


def test_what_somebody_waits_for_is_over_in_three_minutes() -> None:
    delays = [delay_s(attempt, 1, SHORT) for attempt in range(1, SHORT.max_attempts)]
    assert sum(delays) + SHORT.max_attempts * 10 < 240
    assert after_answer(503, 1e9, 1, 0.5, SHORT).delay_s == SHORT.max_delay_s == 60
    assert after_silence(SHORT.max_attempts, 0.5, SHORT).state == "dead"


def test_what_follows_from_an_answer() -> None:
    assert after_answer(204, None, 1, 0.5).state == "delivered"
    gone = after_answer(410, 60, 1, 0.5)
    assert (gone.state, gone.disable) == ("dead", True)
    assert after_answer(500, None, 1, 0.5).delay_s == 5
    assert after_answer(429, 60, 1, 0.5).delay_s == 60
    assert after_answer(429, 1, 3, 0.5).delay_s == 45  # nobody is asked more often than otherwise
    assert after_answer(503, 1e9, 1, 0.5).delay_s == LONG.max_delay_s
    assert after_answer(500, 60, LONG.max_attempts, 0.5).state == after_silence(LONG.max_attempts, 0.5).state == "dead"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("120", 120), (" 7 ", 7), ("soon", None), ("-5", None), ("9" * 400, 999999999999),
        ("Sun, 01 Mar 2026 09:01:00 GMT", 60), ("Sun, 01 Mar 2026 08:00:00 GMT", 0), ("²", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after_s(text, NOW) == seconds


def test_a_sentence_for_each_status() -> None:
    assert sentence(404) == "The receiver answered 404 Not Found."
    assert "not followed" in sentence(302)
    assert sentence(799) == "The receiver answered 799."


def _work(lanes: Lanes[int], number: int, well: bool, times: int) -> None:
    for one in range(times):
        lanes.take(number, one)
        assert [lane for lane, _ in lanes.next()] == [number]
        assert lanes.end(number, well=well) == []


def test_a_window_grows_by_success_and_shrinks_by_one_failure() -> None:
    lanes: Lanes[int] = Lanes(slots=100)
    _work(lanes, 1, True, 20)
    assert list(lanes.rooms()) == [(1, MAX_WINDOW * AHEAD, 0)]
    for one in range(30):
        lanes.take(1, one)
    begun = [one for _, one in lanes.next()]
    assert begun == list(range(MAX_WINDOW))
    assert lanes.end(1, well=False) == list(range(MAX_WINDOW, 30))  # what waits is given back
    assert [room for _, room, _ in lanes.rooms()] == [0]
    assert lanes.free == 100 - (MAX_WINDOW - 1)


def test_lanes_that_fail_hold_half_of_the_slots_at_the_most() -> None:
    lanes: Lanes[int] = Lanes(slots=4)
    for number in range(6):
        _work(lanes, number, False, 1)
    assert sum(room for _, room, _ in lanes.rooms()) == 2
    _work(lanes, 9, True, 3)
    assert {number: room for number, room, _ in lanes.rooms()}[9] == 5


def test_slots_are_shared_in_turns() -> None:
    lanes: Lanes[int] = Lanes(slots=3)
    for number in (1, 2):
        for one in range(2):
            lanes.take(number, one)
    assert [number for number, _ in lanes.next()] == [1, 2, 1]
    assert lanes.give_back() == [1]
