"""A policy's own tests: facts in, verdict out."""

from __future__ import annotations

import pytest

from libs.judge.policy import PolicyError, parse_policy
from libs.judge.policy_tests import run_cases
from tests.unit.governance.samples import tiny_policy

GOOD = "{kind: ops.preflight, age_minutes: 5, data: {overall_status: ok, error_count: 1, warning_count: 0}}"


def with_tests(*tests: str, **changes: str) -> bytes:
    return tiny_policy(**changes) + b"\ntests:\n" + "\n".join(f"  - {one}" for one in tests).encode()


def case(name: str = "a", facts: str = GOOD, expect: str = "{decision: go, rules: {one: pass}}", more: str = "") -> str:
    return f"{{name: {name}, facts: [{facts}], expect: {expect}{more}}}"


def test_what_comes_out_as_expected_says_nothing() -> None:
    no_data = case("no data", "", "{decision: no_go, rules: {one: fail}}")
    assert run_cases(parse_policy(with_tests(case(), no_data), "tiny.yaml")) == ()
    versioned = with_tests(case(), subject_mode="subject_mode: version", scope="    scope: version")
    assert run_cases(parse_policy(versioned, "tiny.yaml")) == ()


def test_what_comes_out_otherwise_is_named() -> None:
    old = case("too old", GOOD.replace("5", "61"))
    why = "The newest startup preflight is 61 minutes old; wanted at most 1 hours old."
    assert run_cases(parse_policy(with_tests(case(), old), "tiny.yaml")) == (
        f"tiny.yaml: test too old: the decision is no_go, expected go: {why}",
        f"tiny.yaml: test too old: rule one is fail, expected pass: {why}",
    )


def test_a_fact_that_is_broken_keeps_no_promise() -> None:
    broken = case(facts="{kind: ops.preflight, data: {error_count: few}}", expect="{decision: no_go, rules: {}}")
    assert run_cases(parse_policy(with_tests(broken), "tiny.yaml")) == (
        "tiny.yaml: test a: fact 1 is no valid ops.preflight: overall_status is missing; "
        "error_count must be a whole number of at least 0; warning_count is missing",
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (case(expect="{decision: maybe}"), "test a: expect: decision must be one of go, no_go"),
        (case(expect="{decision: go, rules: {two: pass}}"), "two must be a rule of the policy"),
        (case(expect="{decision: go, rules: {one: great}}"), "one must be a rule of the policy with one of"),
        (case(facts="3"), "test a: fact 1 is not a mapping"),
        (case(facts="{kind: none, data: {}}"), "test a: fact 1: kind must be one of"),
        (case(facts="{kind: ops.dr, data: {}, age: 3}"), "fact 1: unknown key age"),
        (case(more=", now: 2026-01-01 10:00:00"), "test a: now must have a zone"),
        (case(more=", nwo: 3"), "test a: unknown key nwo"),
        ("3", "test 1 is not a mapping"),
    ],
)
def test_what_is_no_test(one: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(with_tests(one), "tiny.yaml")
    assert words in caught.value.message


def test_two_of_one_name() -> None:
    with pytest.raises(PolicyError, match="stands here a second time"):
        parse_policy(with_tests(case(), case()), "tiny.yaml")
