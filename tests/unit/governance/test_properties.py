"""What must hold for any facts: no GO without every required fact, and the same verdict in any order."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.facts import Fact, Facts
from libs.judge.kinds import KINDS, check_data
from libs.judge.policy import Policy
from libs.judge.verdict import judge
from services.governance.domain.readers.reports import FORMATS, BadReport, parse_report
from tests.unit.governance.samples import (
    GOOD_OPERATIONS,
    NOW,
    OPERATIONS,
    RELEASE,
    fact,
    good_release,
    operations_facts,
)

STATES = ("good", "missing", "stale", "future", "broken")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def in_state(good: Fact, state: str) -> list[Fact]:
    age = {"stale": timedelta(days=60), "future": timedelta(minutes=-10)}.get(state, timedelta(minutes=2))
    data = "true" if state == "broken" else good.data
    if state == "missing":
        return []
    return [Fact(good.kind, good.part, good.signal_id, "/x", "e", NOW - age, data, good.version)]


def facts_for(policy: Policy, states: list[str]) -> Facts:
    good = list(operations_facts().current) if policy is OPERATIONS else good_release()
    current = [one for fact_, state in zip(good, states, strict=True) for one in in_state(fact_, state)]
    return Facts(tuple(current), (), None, "" if policy is OPERATIONS else "1.0")


@given(st.lists(st.sampled_from(STATES), min_size=7, max_size=7))
@settings(max_examples=150, deadline=None)
def test_operations_never_go_unless_every_required_fact_is_good(states: list[str]) -> None:
    verdict = judge(OPERATIONS, facts_for(OPERATIONS, states), NOW)
    assert [result.passed for result in verdict.rules] == [state == "good" for state in states]
    if states[:3] != ["good"] * 3:
        assert verdict.decision == "no_go"
    assert (verdict.decision == "go") is (states[:3] == ["good"] * 3 and verdict.summary.weighted_score_percent >= 75.0)


@given(st.lists(st.sampled_from(STATES), min_size=4, max_size=4))
@settings(max_examples=150, deadline=None)
def test_release_never_goes_unless_every_fact_is_good(states: list[str]) -> None:
    verdict = judge(RELEASE, facts_for(RELEASE, states), NOW)
    assert (verdict.decision == "go") is (states == ["good"] * 4)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_order_and_repetition_of_facts_do_not_matter(data: st.DataObject) -> None:
    pool = [
        *good_release(),
        fact("test.junit", GOOD_OPERATIONS["ops.dr"], part="slow", version="1.0"),
        *(fact(one.kind, one.data, part=one.part, version="1.0", age=timedelta(hours=30)) for one in good_release()),
    ]
    chosen = data.draw(st.lists(st.sampled_from(pool), max_size=12))
    shuffled = data.draw(st.permutations(chosen))
    base = tuple(data.draw(st.permutations(good_release("0.9"))))
    first = judge(RELEASE, Facts(tuple(chosen), base, 3, "1.0"), NOW)
    second = judge(RELEASE, Facts(tuple(shuffled), base[::-1], 3, "1.0"), NOW)
    assert first == second
    assert first == judge(RELEASE, Facts(tuple(chosen), base, 3, "1.0"), NOW)


@given(st.sampled_from(sorted(KINDS)), VALUES)
@settings(max_examples=200, deadline=None)
def test_any_data_is_checked_and_judged_without_an_error(kind: str, value: object) -> None:
    data = dict.fromkeys(KINDS[kind].keys, value)
    assert check_data(kind, data) == check_data(kind, data)
    policy = OPERATIONS if kind.startswith("ops.") else RELEASE
    version = "" if kind in {"alert.alertmanager"} or policy is OPERATIONS else "1.0"
    facts = Facts((fact(kind, data, version=version),), (), None, "" if policy is OPERATIONS else "1.0")
    assert judge(policy, facts, NOW).decision == "no_go"


@given(st.sampled_from(FORMATS), st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(name: str, content: bytes) -> None:
    with contextlib.suppress(BadReport):
        assert parse_report(name, content)
