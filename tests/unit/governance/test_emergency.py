"""Emergency overrides, labels and the budget, pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from libs.common.contracts.governance.emergencies import LongReason
from libs.judge.approval_evidence import evidence_of
from libs.judge.budget import bounds_of, quarter_of
from libs.judge.combine import combine
from libs.judge.emergency import Override
from libs.judge.facts import Facts
from libs.judge.policy import parse_policy
from libs.judge.policy_model import OverrideTerms
from libs.judge.standing import Halt, Label, Spent, Standing
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, RELEASE, fact, good_release, junit_data, rule, tiny_policy

DAY = timedelta(days=1)


def facts(*failed: str) -> Facts:
    others = [one for one in good_release() if one.kind != "test.junit"]
    return Facts((fact("test.junit", junit_data("t::a", failed=failed), version="1.0"), *others), (), None, "1.0")


def standing(**more: Any) -> Standing:
    return Standing("release", "plant", "app", **more)


def override(found: Facts, **more: Any) -> Override:
    """One of the verdict over these facts."""
    evidence = evidence_of(RELEASE, found, standing(), judge(RELEASE, found, NOW, standing()).rules, NOW)
    given_ = {"override_id": 1, "run_id": 7, "given_by": "eve", "given_at": NOW, "ends_at": NOW + 2 * DAY,
              "confirm_until": NOW + DAY, "reason": "fire", "issue": "OPS-1", "evidence": evidence} | more  # fmt: skip
    return Override(**given_)  # type: ignore[arg-type]


def test_it_makes_a_go_with_warnings_that_says_against_what() -> None:
    found = facts("t::b")
    verdict = judge(RELEASE, found, NOW, standing(overrides=(override(found),)))
    assert (verdict.verdict, verdict.reasons) == ("GO_WITH_WARNINGS", ())
    assert verdict.override is not None
    assert verdict.override.against == judge(RELEASE, found, NOW, standing()).reasons
    assert verdict.next_change_at is not None
    assert verdict.next_change_at <= NOW + DAY
    good = facts()
    needless = judge(RELEASE, good, NOW, standing(overrides=(override(good),)))
    assert (needless.verdict, needless.override) == ("GO", None)


def test_of_other_facts_another_version_or_a_halt_it_says_nothing() -> None:
    found = facts("t::b")
    one = override(found)
    for other in (facts("t::c"), replace(found, version="1.1")):
        assert judge(RELEASE, other, NOW, standing(overrides=(one,))).decision == "no_go"
    halt = Halt(1, "global", "*", "stop", "dee", NOW)
    stopped = judge(RELEASE, found, NOW, standing(overrides=(one,), halts=(halt,)))
    assert (stopped.decision, stopped.override) == ("no_go", None)


@settings(max_examples=60, deadline=None)
@given(st.integers(-100, 100), st.booleans())
def test_no_override_outlives_its_end_nor_a_day_without_a_second_word(hours: int, confirmed: bool) -> None:
    found = facts("t::b")
    one = override(found, confirmed_by="bob" if confirmed else None)
    at = NOW + timedelta(hours=hours)
    just_now = at - timedelta(minutes=1)
    fresh = replace(found, current=tuple(replace(each, time=just_now) for each in found.current))
    verdict = judge(RELEASE, fresh, at, standing(overrides=(one,)))
    counts = 0 <= hours < (48 if confirmed else 24)
    assert (verdict.override is not None, verdict.decision) == (counts, "go" if counts else "no_go")


def test_a_label_wants_one_more_and_is_exempted() -> None:
    label = Label("hotfix", "dee", NOW, "fire")
    halt = Halt(1, "global", "*", "stop", "dee", NOW, ("hotfix",))
    assert [one.kind for one in judge(RELEASE, facts(), NOW, standing(halts=(halt,))).holds] == ["halt"]
    verdict = judge(RELEASE, facts(), NOW, standing(halts=(halt,), labels=(label,)))
    assert ([one.kind for one in verdict.holds], verdict.labels) == (["approval"], ("hotfix",))


def test_the_budget_is_a_rule_that_makes_no_go_by_itself() -> None:
    policy = replace(RELEASE, exceptions_per_quarter=2)
    quarter = quarter_of(NOW)

    def spent(*counts: int, of: str = quarter) -> Any:
        each = zip(("override", "waiver"), counts, strict=False)
        return judge(policy, facts(), NOW, standing(spent=tuple(Spent(of, kind, count) for kind, count in each)))

    assert spent(1, 1).decision == "go"
    over = spent(1, 2)
    assert (over.decision, rule(over, "exceptions_budget").status) == ("no_go", "fail")
    assert spent(9, 9, of="1999-Q1").decision == "go"
    nothing = judge(policy, Facts((), (), None, "1.0"), NOW, standing())
    assert nothing.decision == "no_go", "a budget that is kept is no fact"
    assert over.evidence == ""


def test_quarters_are_utc_and_meet() -> None:
    assert quarter_of(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == "2026-Q4"
    begins, ends = bounds_of("2026-Q4")
    assert (quarter_of(begins), quarter_of(ends), quarter_of(ends - timedelta(microseconds=1))) == (
        "2026-Q4",
        "2027-Q1",
        "2026-Q4",
    )
    for wrong in ("2026", "2026-Q5", "26-Q1", "2026-Q", "x"):
        with pytest.raises(ValueError, match="a quarter reads"):
            bounds_of(wrong)


@pytest.mark.parametrize("text", ["", " " * 60, "x" * 60, "go " * 30, "a b c d e " * 20, "short but in several words"])
def test_a_reason_is_a_sentence(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(LongReason).validate_python(text)


def test_terms_only_tighten() -> None:
    common = tiny_policy(description="description: One\noverrides: {max_hours: 12}\nexceptions_per_quarter: 5")
    own = tiny_policy(description="description: One\noverrides: {allowed: false, issue_required: false}")
    both = combine(parse_policy(common, "t.yaml"), parse_policy(own, "t.yaml"))
    assert (both.overrides, both.exceptions_per_quarter) == (OverrideTerms(False, 12, True), 5)
