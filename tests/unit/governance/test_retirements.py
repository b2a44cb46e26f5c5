"""Retirements: they end what nothing else would end, by the order of signals alone, and hide nothing of a version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.facts import Fact, Facts, OpenFailure, Seen
from libs.judge.failures import MAX_READ
from libs.judge.plain import plain, read
from libs.judge.policy import PolicyError, parse_policy
from libs.judge.policy_model import RetirementTerms
from libs.judge.retirements import Retirement, retire
from libs.judge.standing import Standing
from libs.judge.verdict import judge
from tests.unit.governance.samples import (
    NOW,
    RELEASE,
    alert_fact,
    coverage_data,
    fact,
    good_release,
    junit_data,
    rule,
    tiny_policy,
)

ALERTS = "alerts_none_critical"


def ending(of: Fact, **changes: Any) -> Retirement:
    """The retirement of a fact."""
    made = Retirement(1, "part", of.kind, of.version, of.part, "", of.signal_id, of.time, "gone", "bob", NOW)
    return replace(made, **changes)


def judged(facts: list[Fact], *ends: Retirement, **more: Any) -> Any:
    return judge(RELEASE, Facts(tuple(facts), version="1.0", **more), NOW, Standing(retirements=ends))


def test_a_stale_group_still_fails_and_says_how_to_end_it() -> None:
    for hours, stale in ((23, False), (25, True)):
        old = alert_fact("old", ("Down", "firing", "critical"), age=timedelta(hours=hours))
        said = rule(judged([*good_release(), old]), ALERTS)
        assert not said.passed
        assert (f"(signal {old.signal_id}) is stale: it was not repeated for 25 hours" in said.message) is stale
        assert (f"headgate facts retire {old.signal_id} --reason" in said.message) is stale
    quiet = alert_fact("old", ("Slow", "firing", "warning"), age=timedelta(hours=25))
    assert rule(judged([*good_release(), quiet]), ALERTS).passed


def test_stale_after_hours_is_for_alerts() -> None:
    text = tiny_policy(max_age="    max_age_hours: 1\n    stale_after_hours: 12")
    with pytest.raises(PolicyError, match="stale_after_hours is for rules over alert"):
        parse_policy(text, "tiny.yaml")


def test_a_policy_may_want_a_second_person() -> None:
    old = alert_fact("old", ("Down", "firing", "critical"))
    strict = replace(RELEASE, retirements=RetirementTerms(two_persons=True))
    facts = Facts((*good_release(), old), version="1.0")
    alone, both = (Standing(retirements=(ending(old, approved_by=who),)) for who in ("", "eve"))
    assert judge(strict, facts, NOW, both).decision == "go"
    verdict = judge(strict, facts, NOW, alone)
    assert verdict.decision == "no_go"
    assert "does not count before a second person approves it" in rule(verdict, ALERTS).notes[0]


def test_all_parts_retired_is_missing() -> None:
    facts = [replace(one, time=NOW - timedelta(hours=30)) for one in good_release()[:1]]
    said = rule(judged(facts, ending(facts[0])), "tests_passed")
    assert (said.passed, "no test report of version 1.0 was received" in said.message.lower()) == (False, True)


def test_tests_of_which_not_all_are_known_stay_open() -> None:
    def report(count: int) -> tuple[Fact, list[Retirement]]:
        one = fact("test.junit", junit_data("x"), part="unit", version="1.0")
        seen = Seen(one.signal_id - 1, one.time)
        tests = [OpenFailure(f"t{n}", seen) for n in range(count)]
        ends = [
            ending(one, what="test", test=test.test, retirement_id=n, approved_by="eve") for n, test in enumerate(tests)
        ]
        return replace(one, open_failures=tuple(tests)), ends

    for count, passed in ((3, True), (MAX_READ - 1, True), (MAX_READ, False)):
        one, ends = report(count)
        assert rule(judged([*good_release(), one], *ends), "tests_passed").passed is passed
    one, ends = report(3)
    assert not rule(judged([*good_release(), one], *ends[:2]), "tests_passed").passed
    assert not rule(judged([*good_release(), one], *(replace(e, approved_by="") for e in ends)), "tests_passed").passed


@given(percent=st.integers(0, 100), age=st.integers(0, 23), others=st.lists(st.integers(0, 100), max_size=3))
def test_no_retirement_lets_pass_what_a_young_report_of_the_version_fails(
    percent: int, age: int, others: list[int]
) -> None:
    reports = [
        fact("coverage.cobertura", coverage_data(one, 100), part=f"p{n}", version="1.0", age=timedelta(hours=age))
        for n, one in enumerate([percent, *others])
    ]
    facts = [*good_release()[:1], *good_release()[2:], *reports]
    before = rule(judged(facts), "coverage_line").passed
    for one in reports:
        after = rule(judged(facts, ending(one)), "coverage_line").passed
        assert before or not after
        assert not after or len(reports) > 1  # never makes a fact


@given(
    marks=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=5, unique_by=lambda m: m[1]),
    seen=st.tuples(st.integers(0, 5), st.integers(1, 9)),
)
def test_only_the_order_of_signals_counts(marks: list[tuple[int, int]], seen: tuple[int, int]) -> None:
    at = [NOW - timedelta(hours=5 - hours) for hours, _ in marks]
    sent = [
        replace(alert_fact("g", ("Down", "firing", "critical")), time=time, signal_id=number)
        for time, (_, number) in zip(at, marks, strict=True)
    ]
    newest = max(sent, key=lambda one: (one.time, one.signal_id))
    end = ending(newest, signal_id=seen[1], seen_at=NOW - timedelta(hours=5 - seen[0]))
    left = retire(Facts((newest,)), [end], two_persons=False)
    assert (not left.facts.current) is ((newest.time, newest.signal_id) <= (end.seen_at, end.signal_id))
    assert bool(left.remarks) is not bool(left.facts.current)


def test_a_baseline_s_part_is_wanted_no_more_until_it_comes_again() -> None:
    before = fact(
        "scan.sarif", {"tool": "s", "findings": [], "suppressed": 0, "execution_successful": True}, part="old"
    )
    missing = judged(good_release(), baseline=(before,), baseline_run=7)
    assert "missing" in rule(missing, "sarif_no_new_high").message
    ended = judged(good_release(), ending(before), baseline=(before,), baseline_run=7)
    assert rule(ended, "sarif_no_new_high").passed
    later = replace(before, signal_id=before.signal_id + 1)
    assert not rule(
        judged(good_release(), ending(before), baseline=(later,), baseline_run=8), "sarif_no_new_high"
    ).passed


def test_a_part_that_another_line_compares_with_is_still_wanted() -> None:
    before = fact(
        "scan.sarif", {"tool": "s", "findings": [], "suppressed": 0, "execution_successful": True}, part="old"
    )
    before = replace(before, version="0.9")
    for version, passed in (("2.0", False), ("0.9", True), ("1.0", True)):
        end = ending(before, version=version, seen_at=NOW)
        said = rule(judged(good_release(), end, baseline=(before,), baseline_run=7), "sarif_no_new_high")
        assert said.passed is passed, version


def test_a_broken_word_of_a_version_goes_on_covering_what_was_good_before_it() -> None:
    broken = replace(fact("coverage.cobertura", {}, part="p", version="1.0"), problems=("torn",))
    for good, passed in ((None, True), (Seen(broken.signal_id - 1, broken.time), False)):
        one = replace(broken, good=good)
        assert rule(judged([*good_release(), one], ending(one)), "coverage_line").passed is passed
        sender = replace(one, kind="scan.sarif")
        end = ending(sender, what="sender")
        assert rule(judged(good_release(), end, unread=(sender,)), "sarif_no_new_high").passed is passed


def test_what_was_retired_reads_the_same_from_a_capsule() -> None:
    old = alert_fact("old", ("Down", "firing", "critical"))
    held = Standing("release", "global", "app", retirements=(ending(old, approved_by="eve"),))
    assert read(Standing, plain(held)) == held
    written = {name: value for name, value in plain(held).items() if name != "retirements"}
    assert read(Standing, written) == replace(held, retirements=())
