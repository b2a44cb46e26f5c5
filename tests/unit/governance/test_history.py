"""Rules over past verdicts: streaks, trends and hours, and what they must never do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.facts import Facts
from libs.judge.forecast import forecast
from libs.judge.history import KEYS, KIND, History, PastRun, totals
from libs.judge.kinds import KINDS
from libs.judge.lockout import cautions
from libs.judge.plain import plain, read
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_tests import run_cases
from libs.judge.standing import NOBODY_DECIDED
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, fact, junit_data, rule

HOUR = timedelta(hours=1)
POLICY = """
name: release
title: Release
description: Streaks.
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - id: tests
    title: Tests pass
    severity: {tests}
    weight: 1
    kind: test.junit
    scope: version
    when: derived.not_passed == 0
    observed: "{{derived.not_passed}} failed"
    wanted: "0"
    max_age_days: 300
  - id: streak
    title: Quiet before
    severity: required
    weight: 1
    kind: gate.history
    scope: {scope}
    when: {when}
    observed: "{{derived.no_go_streak}} NO-GOs in a row, slope {{derived.score_slope}}"
    wanted: quiet
    ageless_reason: It is what came before.
    {more}
{after}
"""
TESTS = """
tests:
  - name: after a failure it must be quiet for a day
    version: "1.1"
    history:
      - {decision: no_go, age_minutes: 600, score_percent: 40}
      - {decision: go, age_minutes: 90000, version: "1.0"}
    facts: []
    expect: {decision: no_go, rules: {streak: fail}}
  - name: and is then
    history: [{decision: no_go, age_minutes: 1440}]
    facts: []
    expect: {decision: no_go, rules: {streak: pass}}
"""
QUIET = "derived.no_go_count == 0 || derived.hours_since_last_no_go >= 24"


def policy(
    when: str = QUIET, more: str = "", after: str = "", scope: str = "subject", tests: str = "required"
) -> Policy:
    made = POLICY.format(when=when, more=more, after=after, scope=scope, tests=tests)
    return parse_policy(made.encode(), "release.yaml")


def past(*said: str, gap: float = 1, version: str = "0.9", line: str = "") -> tuple[PastRun, ...]:
    """Verdicts, newest first: ``go``, or ``no_go`` with a score such as ``no_go:40``."""
    found = []
    for back, one in enumerate(said):
        decision, _, score = one.partition(":")
        at = NOW - gap * HOUR * (back + 1)
        found.append(PastRun(len(said) - back, version, line, decision, float(score or 100), at))  # type: ignore[arg-type]
    return tuple(found)


def facts(*said: str, tests: bool = True, **more: Any) -> Facts:
    told = (fact("test.junit", junit_data("t::a"), part="unit", version="1.0"),) if tests else ()
    return Facts(told, (), None, "1.0", history=History(past(*said, **more), is_whole=True, newest_number=len(said)))


def test_totals_have_their_keys_and_say_what_was() -> None:
    found = totals(past("no_go:40", "no_go:60", "go", "no_go:70", "go"), NOW)
    assert set(found) == set(KEYS)
    assert found | {"score_slope": 0} == {
        "run_count": 5, "go_count": 2, "no_go_count": 3, "go_streak": 0, "no_go_streak": 2, "flips": 3,
        "last_score": 40.0, "lowest_score": 40.0, "score_slope": 0, "hours_since_last_go": 3,
        "hours_since_last_no_go": 1, "last_version": "0.9", "last_go_version": "0.9",
    }  # fmt: skip
    assert found["score_slope"] == -13.0
    none = totals((), NOW)
    assert (none["run_count"], none["hours_since_last_go"], none["score_slope"]) == (0, None, None)


def test_without_a_verdict_before_it_fails_unless_the_rule_says_what_counts() -> None:
    failed = rule(judge(policy(), facts(), NOW), "streak")
    assert (failed.status, failed.observed, failed.facts_used) == ("fail", "no verdict was made before", ())
    passed = judge(policy(more="passes_at_first: true"), facts(), NOW)
    assert (passed.decision, rule(passed, "streak").status) == ("go", "pass")
    unknown = judge(policy(more="passes_at_first: true"), replace(facts(), history=None), NOW)
    assert rule(unknown, "streak").status == "fail", "not knowing is not having none"


def test_history_alone_is_no_fact_that_lets_anything_pass() -> None:
    verdict = judge(policy(more="passes_at_first: true", tests="advisory"), facts(tests=False), NOW)
    assert rule(verdict, "streak").status == "pass"
    assert verdict.decision == "no_go"
    assert "No good fact" in verdict.reasons[0]


def test_nobody_can_send_it() -> None:
    forged = fact(KIND, {"no_go_count": 0}, version="1.0")
    verdict = judge(policy(), replace(facts("no_go"), current=(*facts().current, forged)), NOW)
    assert rule(verdict, "streak").status == "fail"
    assert KINDS[KIND].is_made


@pytest.mark.parametrize(
    ("said", "version", "line", "scope", "status"),
    [
        (("go", "no_go"), "0.9", "", "subject", "fail"),
        (("go", "no_go"), "0.9", "2", "subject", "fail"),  # none of this line: nothing before
        (("go", "no_go"), "0.9", "", "version", "fail"),  # none of this version
        (("go", "go"), "1.0", "", "version", "pass"),
    ],
)
def test_only_verdicts_of_the_line_and_scope_count(
    said: tuple[str, ...], version: str, line: str, scope: str, status: str
) -> None:
    verdict = judge(policy(scope=scope), facts(*said, version=version, line=line), NOW)
    assert rule(verdict, "streak").status == status


def test_a_rule_that_passes_now_and_not_in_some_hours_ends_the_go_by_the_clock() -> None:
    fresh = policy("derived.hours_since_last_go < 5")
    verdict = judge(fresh, facts("go"), NOW)
    assert verdict.decision == "go"
    assert verdict.next_change_at == NOW + 4 * HOUR
    assert judge(fresh, facts("go"), NOW + 4 * HOUR - timedelta(microseconds=1)).decision == "go"
    assert judge(fresh, facts("go"), NOW + 4 * HOUR).decision == "no_go"
    later = judge(policy(), facts("no_go", gap=30), NOW)
    assert later.decision == "go"
    assert later.next_change_at == NOW + 7 * 24 * HOUR, "looked at again then, whatever it says"
    quiet = judge(policy(), facts("no_go", gap=20.5), NOW)
    assert (quiet.decision, rule(quiet, "streak").passes_at) == ("no_go", NOW + 3.5 * HOUR)
    assert quiet.next_change_at == NOW + 3.5 * HOUR
    assert judge(policy(), facts("no_go", gap=20.5), NOW + 3.5 * HOUR).decision == "go"
    waited = forecast(policy(), facts("no_go", gap=20.5), NOBODY_DECIDED, NOW, NOW + 9 * HOUR)
    assert [(turn.at, turn.after) for turn in waited.turns] == [(NOW + 3.5 * HOUR, "GO")]
    foreseen = forecast(fresh, facts("go"), NOBODY_DECIDED, NOW, NOW + 9 * HOUR)
    assert (foreseen.breaks_at, foreseen.renewals) == (NOW + 4 * HOUR, ())


@given(st.lists(st.sampled_from(["go", "no_go:10", "no_go:90"]), min_size=1, max_size=8), st.floats(0.1, 30),
       st.sampled_from(["<", ">=", "=="]), st.integers(0, 40), st.sampled_from(["go", "no_go"]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_hour_passes_unseen(said: list[str], gap: float, sign: str, hours: int, word: str) -> None:
    found = facts(*said, gap=gap)
    made = policy(f"derived.hours_since_last_{word} {sign} {hours}")
    verdict = judge(made, found, NOW)
    if verdict.decision == "go":
        assert verdict.next_change_at is not None
        for share in (0.01, 0.5, 0.99):
            assert judge(made, found, NOW + (verdict.next_change_at - NOW) * share).decision == "go"


def test_it_is_written_down_and_read_again() -> None:
    found = facts("go", "no_go:40").history
    assert read(History, plain(found)) == found


def test_policies_test_it_and_say_what_has_no_meaning() -> None:
    assert run_cases(policy(after=TESTS)) == ()
    wrong = run_cases(policy("derived.go_streak > 5", after=TESTS))
    assert any("rule streak is fail, expected pass" in one for one in wrong)
    for more, words in (
        ("actors: [ci]", "actors has no meaning"),
        ("needs: [test.junit]", "needs has no meaning"),
    ):
        with pytest.raises(PolicyError, match=words):
            policy(more=more)
    text = POLICY.format(when="true", more="", after="", scope="subject", tests="required")
    with pytest.raises(PolicyError, match="passes_at_first is for rules"):
        parse_policy(text.replace("max_age_days: 300", "max_age_days: 300\n    passes_at_first: true").encode(), "x")
    with pytest.raises(PolicyError, match="always there"):
        parse_policy(text.replace("max_age_days: 300", f"max_age_days: 300\n    needs: [{KIND}]").encode(), "x")
    with pytest.raises(PolicyError, match="nobody sends"):
        policy(after="tests: [{name: a, facts: [{kind: gate.history, data: {}}], expect: {decision: go}}]")


@pytest.mark.parametrize(
    ("when", "shuts"),
    [
        (QUIET, False),
        ("derived.go_streak >= 1", True),
        ("derived.no_go_streak < 3", True),
        ("derived.flips <= 2", False),
        ("derived.hours_since_last_no_go >= 48", False),
        ("derived.lowest_score > 80.0", False),
    ],
)
def test_a_rule_that_can_shut_the_gate_for_good_says_so(when: str, shuts: bool) -> None:
    assert bool(cautions(policy(when))) is shuts
    assert not cautions(policy(when, scope="version", more="passes_at_first: true")), "each version begins anew"
    assert cautions(replace(policy(when), rules=policy(when).rules[:1])) == ()
