"""A site's own policy beside everywhere's: it adds and tightens, and never loosens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.combine import binds, combine
from libs.judge.facts import Facts
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_model import WaiverTerms
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, fact, tiny_policy

COMMON = parse_policy(tiny_policy(), "tiny.yaml")


def own(**changes: str) -> Policy:
    return parse_policy(tiny_policy(**changes), "tiny.yaml")


@given(
    errors=st.integers(0, 12),
    most=st.integers(0, 9),
    severity=st.sampled_from(["required", "advisory"]),
    weight=st.sampled_from([1, 1000]),
    mode=st.sampled_from(["enforce", "shadow"]),
    same=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_site_never_loosens(errors: int, most: int, severity: str, weight: int, mode: str, same: bool) -> None:
    text = tiny_policy(
        parameters=f"parameters: {{most: {most}}}",
        settings="",
        id=f"  - id: {'one' if same else 'other'}",
        required=f"    severity: {severity}",
        weight=f"    weight: {weight}" + ("\n    mode: shadow" if mode == "shadow" else ""),
    )
    if mode == "shadow":
        more = tiny_policy(id="  - id: three", required="    severity: advisory").split(b"rules:\n")[1]
        text += b"\n" + more
    common = parse_policy(tiny_policy(min_weighted_score_percent="min_score_percent: 80"), "tiny.yaml")
    both = combine(common, parse_policy(text, "tiny.yaml"))
    facts = Facts((fact("ops.preflight", {"overall_status": "ok", "error_count": errors, "warning_count": 0}),))
    alone = judge(common, facts, NOW)
    together = judge(both, facts, NOW)
    if alone.decision == "no_go":
        assert together.decision == "no_go"
    if severity == "required" and mode == "enforce" and errors > most:
        assert together.decision == "no_go"
    assert together.rules[0] == alone.rules[0]
    assert together.summary.weighted_score_percent == alone.summary.weighted_score_percent


def test_a_rule_of_the_same_id_is_judged_besides_by_its_own_parameters() -> None:
    both = combine(COMMON, own(parameters="parameters: {most: 1}"))
    assert [rule.id for rule in both.rules] == ["one", "one_of_site"]
    facts = Facts((fact("ops.preflight", {"overall_status": "ok", "error_count": 2, "warning_count": 0}),))
    verdict = judge(both, facts, NOW)
    assert [result.status for result in verdict.rules] == ["pass", "fail"]
    assert verdict.rules[1].message == "2 errors; wanted at most 1."
    assert both.digest not in (COMMON.digest, both.parts[1].digest)


def test_of_every_term_the_stricter_one_holds() -> None:
    more = "description: x\nvalid_for_hours: {}\nwaivers: {{max_days: {}}}"
    common = own(description=more.format(8, 30), min_weighted_score_percent="min_weighted_score_percent: 60")
    site = own(description=more.format(24, 7), allow_warning="allow_warning: false")
    both = combine(common, site)
    assert (both.valid_for_hours, both.allow_warning, both.min_weighted_score_percent) == (8, False, 60)
    assert both.waivers == WaiverTerms(7, False)


def test_what_is_judged_can_not_differ() -> None:
    with pytest.raises(PolicyError, match="subject_mode must be those in force everywhere"):
        combine(COMMON, own(subject_mode="subject_mode: version"))


def test_whom_a_policy_binds() -> None:
    policy = own(subject_mode="subject_mode: version", title="title: T\nsubjects: [pay-*, billing]")
    assert [binds(policy, name) for name in ("pay-api", "billing", "Billing", "shop")] == [True, True, False, False]
    assert binds(COMMON, "site")
