"""Stages: another gate's GO, of the same version and artifact, held for long enough and not for too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.facts import Facts
from libs.judge.lint import lint
from libs.judge.plain import plain, read
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_tests import run_cases
from libs.judge.results import RuleResult
from libs.judge.stages import StageGo, chosen, seen
from libs.judge.verdict import Verdict, judge
from tests.unit.governance.samples import NOW, rule

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TEXT = """name: production
title: Production
description: What has soaked on staging.
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - id: soaked
    title: Soaked on staging
    severity: required
    weight: 1
    stage: {gate: staging, min_age_hours: 24, max_age_hours: 168}
    owner_role: Release Manager
    sla_hours: 30
    action: Wait, or find out why staging is no GO.
"""
POLICY = parse_policy(TEXT.encode(), "production.yaml")


def go(hours: float, **more: Any) -> StageGo:
    """Staging's GO, held for so long."""
    return StageGo("staging", 7, NOW - timedelta(hours=hours), **more)


def verdict(*stages: StageGo, policy: Policy = POLICY, **more: Any) -> Verdict:
    return judge(policy, Facts(version="1.0", stages=stages, **more), NOW)


def soaked(*stages: StageGo, **more: Any) -> RuleResult:
    return rule(verdict(*stages, **more), "soaked")


def test_a_go_that_has_soaked_passes_until_it_is_too_old_or_over() -> None:
    found = verdict(go(30))
    assert (found.verdict, found.next_change_at) == ("GO", NOW + timedelta(hours=138, microseconds=1))
    over = NOW + timedelta(hours=5)
    assert verdict(go(30, valid_until=over)).next_change_at == over
    assert verdict(go(24)).decision == verdict(go(168)).decision == "go"


def test_one_that_is_too_young_says_when_it_will_pass() -> None:
    found = verdict(go(20.5))
    at = NOW + timedelta(hours=3.5)
    assert (found.decision, found.next_change_at, rule(found, "soaked").passes_at) == ("no_go", at, at)
    assert (
        "for 20.5 hours; wanted a GO of the gate staging that holds for at least 24 hours and at most 168 hours."
        in (found.reasons[0])
    )
    never = soaked(go(20.5, valid_until=NOW + timedelta(hours=2)))  # it is over before
    assert (never.status, never.passes_at) == ("fail", None)


@pytest.mark.parametrize(
    ("stages", "words", "has_evidence"),
    [
        ((), "No GO of the gate staging holds for 1.0", False),
        ((replace(go(30), gate="other"),), "No GO of the gate staging holds for 1.0", False),
        ((go(30, valid_until=NOW),), "The GO of the gate staging is over since", False),
        ((go(169),), "for 169.0 hours", True),
        ((go(-1),), "for 0.0 hours", True),
    ],
)
def test_what_does_not_hold_fails(stages: tuple[StageGo, ...], words: str, has_evidence: bool) -> None:
    found = soaked(*stages)
    assert (found.status, words in found.message, found.has_evidence) == ("fail", True, has_evidence), found.message


def test_it_must_be_the_same_artifact() -> None:
    assert soaked(go(30, artifact_digest=A), artifact_digest=A).passed
    assert soaked(go(30, artifact_digest=A)).passed
    other = soaked(go(30, artifact_digest=B), artifact_digest=A)
    assert f"The gate staging (run 7) judged {B}; wanted the same artifact, {A}." == other.message
    strict = parse_policy(TEXT.replace("rules:", "digest: required\nrules:").encode(), "production.yaml")
    assert soaked(go(30, artifact_digest=A), artifact_digest=A, policy=strict).passed
    assert not soaked(go(30), artifact_digest=A, policy=strict).passed


def test_a_line_that_somebody_chose_counts_only_where_it_is_this_one() -> None:
    named, derived, plain_ = go(30, line="fresh"), go(30, line="1", is_derived=True), go(30)
    assert not soaked(named).passed
    assert soaked(named, line="fresh").passed
    assert soaked(derived, line="1.0").passed
    assert chosen([plain_, derived, named], "staging", "fresh") == named
    assert chosen([plain_, derived, named], "staging", "x") == derived


def test_what_was_seen_is_kept_by_gate() -> None:
    until = NOW + timedelta(hours=1)
    found = seen([go(1), replace(go(1, valid_until=until), run_id=9, line="x")], ["other", "staging"])
    assert found == ([None, 9], [None, until])


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("gate: staging", "gate: production", "a gate can't wait for its own GO"),
        ("gate: staging", "gate: Staging", "1 to 40 of the letters"),
        ("max_age_hours: 168", "max_age_hours: 24", "must be above min_age_hours"),
        ("max_age_hours: 168", "until: 3", "unknown key until"),
        ("    stage: {", "    kind: gate.stage\n    stage_: {", "write stage with a gate"),
        ("    owner_role", "    when: 'true'\n    owner_role", "unknown key when"),
        ("subject_mode: version", "subject_mode: site", "needs subject_mode version"),
    ],
)
def test_a_stage_that_means_nothing_is_refused(before: str, after: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(TEXT.replace(before, after).encode(), "production.yaml")


def test_a_policy_tests_its_stages() -> None:
    case = """tests:
  - name: soaked
    facts: []
    stages: [{gate: staging, age_hours: 30}]
    expect: {decision: go, rules: {soaked: pass}}
  - name: young
    facts: []
    stages: [{gate: staging, age_hours: 3}]
    expect: {decision: no_go}
"""
    policy = parse_policy((TEXT + case).encode(), "production.yaml")
    assert (run_cases(policy), lint(policy, NOW)) == ((), ())
    wrong = parse_policy((TEXT + case.replace("age_hours: 30", "age_hours: 300")).encode(), "production.yaml")
    assert "the decision is no_go, expected go" in run_cases(wrong)[0]


def test_facts_with_stages_are_written_down_and_read() -> None:
    facts = Facts(version="1.0", stages=(go(30, artifact_digest=A, valid_until=NOW),))
    assert read(Facts, plain(facts)) == facts
    assert "stages" not in plain(Facts(version="1.0"))


@given(st.floats(0, 300), st.floats(0, 300))
def test_the_clock_alone_makes_it_pass_once_and_end_once(held: float, later: float) -> None:
    begun = soaked(go(held))
    at = NOW + timedelta(hours=later)
    then = rule(judge(POLICY, Facts(version="1.0", stages=(go(held),)), at), "soaked")
    age = (at - go(held).since) / timedelta(hours=1)
    assert then.passed == (24 <= age <= 168)
    if begun.passes_at is not None:
        assert then.passed == (begun.passes_at <= at <= go(held).since + timedelta(hours=168))
