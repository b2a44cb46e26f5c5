"""Policies and facts from before there were words for incomplete, flaky and still failing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.judge.facts import Fact, Facts, OpenFailure, Seen
from libs.judge.policy import Policy, parse_policy
from libs.judge.verdict import RuleResult, judge
from tests.unit.governance.samples import NOW, coverage_data, fact, junit_data, tiny_policy

SHORT = [{"what": "tests", "announced": 1000, "found": 2}]
LINES = [{"what": "lines", "announced": 1000, "found": 2}]
EARLIER = Seen(3, NOW - timedelta(hours=2))


def old(kind: str, condition: str, parameters: str = "{most: 3}") -> Policy:
    return parse_policy(
        tiny_policy(
            subject_mode="subject_mode: version",
            kind=f"    kind: {kind}",
            scope="    scope: version",
            max_age="    max_age_hours: 24",
            parameters=f"parameters: {parameters}",
            condition=f"    condition: {condition}",
            observed='    observed: "as seen"',
            wanted='    wanted: "as wanted"',
        ),
        "old.yaml",
    )


TESTS = old("test.junit", "derived.not_passed == 0 && derived.passed > 0")
LENIENT = old("test.junit", "derived.not_passed == 0", "{most: 3, max_flaky: 2}")
COVERAGE = old("coverage.cobertura", "derived.lowest_percent >= 80.0")


def judged(policy: Policy, *current: Fact, baseline: tuple[Fact, ...] = ()) -> RuleResult:
    return judge(policy, Facts(current, baseline, 7 if baseline else None, "1.0"), NOW).rules[0]


def ran(part: str = "default", age: timedelta = timedelta(hours=1), **more: Any) -> Fact:
    return fact("test.junit", {**junit_data("a", "b"), **more}, part=part, age=age, version="1.0")


@pytest.mark.parametrize(
    ("policy", "current", "words"),
    [
        (TESTS, ran(incomplete=SHORT), "1000 tests are announced and 2 are there"),
        (
            COVERAGE,
            fact("coverage.cobertura", {**coverage_data(9, 10), "incomplete": LINES}, version="1.0"),
            "1000 lines are announced and 2 are there",
        ),
        (TESTS, ran(flaky=1, flaky_tests=["a"]), "1 tests are flaky (a)"),
        (
            TESTS,
            replace(ran(), open_failures=(OpenFailure("c", EARLIER),)),
            "1 tests were not shown passing since they failed (c: signal 3",
        ),
    ],
)
def test_a_condition_that_does_not_ask_can_not_overlook(policy: Policy, current: Fact, words: str) -> None:
    one = judged(policy, current)
    assert not one.passed
    assert words in one.message


def test_what_the_policy_allows_passes() -> None:
    assert judged(TESTS, ran()).passed
    assert judged(LENIENT, ran(flaky=1, flaky_tests=["a"])).passed


def test_odd_values_of_later_keys_are_not_held_against_a_baseline() -> None:
    odd: dict[str, Any] = {"notes": "nightly", "summary": 5, "flaky": "no", "incomplete": "no"}
    assert judged(TESTS, ran(), baseline=(ran(**odd),)).passed
    newest = judged(TESTS, ran(**odd), baseline=(ran(),))
    assert not newest.passed
    assert "is broken" in newest.message
    packed = judged(TESTS, ran(), baseline=(ran(tests_packed=7),))
    assert not packed.passed
    assert "The baseline test report" in packed.message


def test_a_default_part_is_named_where_it_is_one_of_several() -> None:
    stale = judged(TESTS, ran(age=timedelta(hours=30)), ran(part="unit"))
    assert "The newest test report default is 30 hours old" in stale.message
    assert "The newest test report is 30 hours old" in judged(TESTS, ran(age=timedelta(hours=30))).message
    short = judged(TESTS, ran(incomplete=SHORT), ran(part="unit"))
    assert "in the report default" in short.message
