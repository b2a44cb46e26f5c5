"""What must hold for any policy over any facts: of score, shadows, time and the absence of data."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.facts import Fact, Facts
from libs.judge.policy import Policy, parse_policy
from libs.judge.results import Verdict
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW

SECURITY = {"risk_level": "low", "risk_score": 1}
PREFLIGHT = {"overall_status": "ok", "error_count": 0, "warning_count": 0}
COVERED = {"line_rate_percent": 91.0, "lines_valid": 100, "lines_covered": 91}
WEEKS = "parts.all(one, one.current_streak_weeks >= 2)"
# Good data, what a rule asks of it, and what makes it bad.
KINDS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "ops.security": (SECURITY, "fact.risk_score <= 10", {"risk_score": 99}),
    "ops.preflight": (PREFLIGHT, "fact.error_count == 0", {"error_count": 4}),
    "ops.quality_streak": ({"current_streak_weeks": 5}, WEEKS, {"current_streak_weeks": 0}),
    "coverage.cobertura": (COVERED, "derived.lowest_percent >= 80.0", {"line_rate_percent": 9.0, "lines_covered": 9}),
}
HOURS = (1, 5, 30)
HEAD = """
name: any
title: Any
description: Any rules
subject_mode: site
allow_warnings: {warnings}
min_score_percent: {score}
rules:
"""
RULE = """
  - {{id: r{number}, title: R, severity: {severity}, mode: {mode}, weight: {weight}, kind: {kind}, scope: subject,
     when: "{when}", observed: seen, wanted: good, max_age_hours: {hours}{later}}}
"""


@st.composite
def policies(draw: st.DrawFn, *, dated: bool = False) -> Policy:
    """Rules of all severities, modes, weights and ages; at least one is enforced and has a weight."""
    rules = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        mode = draw(st.sampled_from(("enforce", "enforce", "shadow"))) if number else "enforce"
        day = (NOW + timedelta(days=draw(st.integers(-2, 2)))).date()
        values = {
            "number": number, "severity": draw(st.sampled_from(("required", "advisory"))), "mode": mode,
            "weight": draw(st.integers(0, 3)) if number else 1, "kind": kind, "when": KINDS[kind][1],
            "hours": draw(st.sampled_from(HOURS)),
            "later": f", effective_on: {day}" if dated and draw(st.booleans()) else "",
        }  # fmt: skip
        rules.append(RULE.format(**values))
    head = HEAD.format(warnings=str(draw(st.booleans())).lower(), score=draw(st.sampled_from((0, 30, 60, 90, 100))))
    return parse_policy((head + "".join(rules)).encode(), "any.yaml")


@st.composite
def told(draw: st.DrawFn) -> list[Fact]:
    """Facts of some kinds: good or bad, in one or two parts, of any age."""
    found: list[Fact] = []
    for kind in sorted(KINDS):
        for part in draw(st.sampled_from(((), ("a",), ("a", "b")))):
            good, _, bad = KINDS[kind]
            data = good | (bad if draw(st.integers(0, 3)) == 0 else {})
            age = timedelta(minutes=draw(st.integers(0, 6 * 60)))
            found.append(Fact(kind, part, len(found) + 1, "/any", str(len(found)), NOW - age, data))
    return found


def verdict(policy: Policy, facts: list[Fact], now: datetime = NOW) -> Verdict:
    return judge(policy, Facts(tuple(facts)), now)


@given(policies(), told(), st.data())
@settings(max_examples=100, deadline=None)
def test_more_that_passes_never_turns_a_go(policy: Policy, facts: list[Fact], data: st.DataObject) -> None:
    """A rule that begins to pass makes the score no worse: not by its weight, and not by the rules beside it."""
    before = verdict(policy, facts)
    failing = [rule.id for rule in before.rules if not rule.passed]
    if not failing:
        return
    mended = data.draw(st.sampled_from(failing))
    kind = next(rule.kind for rule in policy.rules if rule.id == mended)
    fresh = [fact for fact in facts if fact.kind != kind]
    fresh.append(Fact(kind, "a", 100, "/any", "100", NOW, KINDS[kind][0]))
    after = verdict(policy, fresh)
    assert next(rule for rule in after.rules if rule.id == mended).passed
    assert after.summary.weighted_score_percent >= before.summary.weighted_score_percent
    assert before.decision == "no_go" or after.decision == "go"


@given(policies(), told())
@settings(max_examples=100, deadline=None)
def test_a_policy_without_its_shadows_says_the_same(policy: Policy, facts: list[Fact]) -> None:
    bare = replace(policy, rules=tuple(rule for rule in policy.rules if rule.mode == "enforce"))
    with_shadows, without = verdict(policy, facts), verdict(bare, facts)
    counted = tuple(rule for rule in with_shadows.rules if rule.status != "shadow")
    assert (with_shadows.verdict, with_shadows.reasons, with_shadows.summary, counted) == (
        without.verdict, without.reasons, without.summary, without.rules,
    )  # fmt: skip
    assert with_shadows.next_change_at == without.next_change_at


@given(policies(dated=True), told(), st.floats(0, 1, exclude_max=True), st.integers(0, 4 * 24 * 60))
@settings(max_examples=150, deadline=None)
def test_a_go_holds_until_the_moment_that_it_names_and_time_alone_mends_nothing(
    policy: Policy, facts: list[Fact], share: float, minutes: int
) -> None:
    first = verdict(policy, facts)
    later = NOW + timedelta(minutes=minutes)
    if first.decision == "no_go":
        assert verdict(policy, facts, later).decision == "no_go"
        return
    end = first.next_change_at
    assert end is not None, "every rule has a maximum age"
    assert end > NOW
    within = NOW + (end - NOW) * share
    again = verdict(policy, facts, min(within, end - timedelta(microseconds=1)))
    assert (again.verdict, [rule.status for rule in again.rules]) == (
        first.verdict, [rule.status for rule in first.rules],
    )  # fmt: skip
    at_end = verdict(policy, facts, end)
    assert (at_end.verdict, [rule.status for rule in at_end.rules]) != (
        first.verdict, [rule.status for rule in first.rules],
    )  # fmt: skip


@given(policies(dated=True), told())
@settings(max_examples=100, deadline=None)
def test_no_data_never_passes(policy: Policy, facts: list[Fact]) -> None:
    broken = [replace(fact, data={"nothing": 1}) for fact in facts]
    for nothing in ([], broken, [replace(fact, problems=("It could not be read.",)) for fact in facts]):
        found = verdict(policy, nothing)
        assert found.verdict == "NO_GO"
        assert not any(rule.passed for rule in found.rules)
