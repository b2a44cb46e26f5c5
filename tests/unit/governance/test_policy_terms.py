"""What a policy may say since it can be published: severities, shadows, dates, needs and terms."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.facts import Fact, Facts
from libs.judge.lint import lint
from libs.judge.policy import Policy, PolicyError, apply_overrides, parse_policy
from libs.judge.policy_model import Need, WaiverTerms
from libs.judge.verdict import Verdict, judge
from tests.unit.governance.samples import GOOD_OPERATIONS, NOW, fact, rule, tiny_policy

SECOND = """
  - id: two
    title: Two
    severity: {severity}
    weight: 9
    kind: ops.dr
    scope: subject
    max_age_days: 35
    condition: fact.enabled
    observed: "enabled: {{fact.enabled}}"
    wanted: "true"
{more}"""


def two_rules(severity: str = "required", more: str = "", **changes: str) -> Policy:
    wanted = '    wanted: "at most {params.most}"' + SECOND.format(severity=severity, more=more)
    return parse_policy(tiny_policy(wanted=wanted, **changes), "tiny.yaml")


def told(*facts: Fact) -> Facts:
    return Facts(tuple(facts), (), None, "")


GOOD = fact("ops.preflight", GOOD_OPERATIONS["ops.preflight"], age=timedelta(minutes=5))
DR = fact("ops.dr", GOOD_OPERATIONS["ops.dr"], age=timedelta(minutes=15))
BROKEN_DR = fact("ops.dr", {"enabled": 3})


def test_every_new_field_is_read() -> None:
    terms = """description: One
valid_for_hours: 8
subjects: [pay-*, billing]
freeze_calendars: [year-end]
waivers: {max_days: 14, issue_required: true}"""
    more = """    mode: shadow
    effective_on: 2026-12-01
    tags: [soc2]
    runbook: https://example.org/dr
    sources: [/ci/*]
    actors: [robot]
    needs: [ops.security, {kind: ops.runbook, max_age_hours: 2}]
"""
    policy = two_rules("advisory", more, description=terms)
    assert policy.valid_for_hours == 8
    assert policy.subjects == ("pay-*", "billing")
    assert policy.waivers == WaiverTerms(14, True)
    assert policy.freeze_calendars == ("year-end",)
    two = policy.rules[1]
    assert (two.required, two.mode, two.effective_on, two.tags) == (False, "shadow", date(2026, 12, 1), ("soc2",))
    assert (two.runbook, two.sources, two.actors) == ("https://example.org/dr", ("/ci/*",), ("robot",))
    assert two.needs == (Need("ops.security"), Need("ops.runbook", 2))
    assert policy.kinds == {"ops.preflight", "ops.dr", "ops.security", "ops.runbook"}


def test_old_names_and_new_ones_mean_the_same() -> None:
    old = parse_policy(tiny_policy(), "tiny.yaml")
    new = parse_policy(
        tiny_policy(
            allow_warning="allow_warnings: true",
            min_weighted_score_percent="min_score_percent: 0",
            required="    severity: required",
            settings="settings: {WARN: {name: warn, target: allow_warnings}}",
        ),
        "tiny.yaml",
    )
    assert (new.allow_warning, new.min_weighted_score_percent) == (old.allow_warning, old.min_weighted_score_percent)
    assert new.rules[0].required is old.rules[0].required is True
    assert apply_overrides(new, {"WARN": "no"}).allow_warning is False


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"allow_warning": "allow_warning: true\nallow_warnings: true"}, "allow_warning is the old name of"),
        ({"required": "    required: true\n    severity: required"}, "required is the old name of severity"),
        ({"required": "    severity: grave"}, "severity must be one of required, advisory (line 12)"),
        ({"required": ""}, "rule one: required or severity is missing"),
        ({"weight": "    weight: 1\n    mode: audit"}, "mode must be one of enforce, shadow (line "),
        ({"weight": "    weight: 1\n    mode: shadow"}, "at least one rule that is enforced needs a weight above 0"),
        ({"weight": "    weight: 1\n    effective_on: soon"}, "effective_on must be a date such as 2026-12-31"),
        ({"weight": "    weight: 1\n    effective_on: 2026-12-31 10:00:00"}, "without a time"),
        ({"weight": "    weight: 1\n    tags: [a, a]"}, "tags must be a list of 1 to 50 texts"),
        ({"weight": "    weight: 1\n    tags: []"}, "tags must be a list of 1 to 50 texts"),
        ({"weight": "    weight: 1\n    runbook: javascript:alert(1)"}, "runbook must be a link"),
        ({"weight": "    weight: 1\n    needs: [ops.none]"}, "rule one: need 1: the kind must be one of"),
        ({"weight": "    weight: 1\n    needs: [ops.preflight]"}, "ops.preflight is needed anyway"),
        ({"weight": "    weight: 1\n    needs: [{kind: ops.dr, x: 1}]"}, "need 1: unknown key x"),
        ({"title": "title: T\nvalid_for_hours: 0"}, "valid_for_hours must be above 0"),
        ({"title": "title: T\nfreeze_calendars: [A B]"}, "freeze_calendars: A B must be 1 to 40"),
        ({"title": "title: T\napprovers: {count: 2}"}, "unknown key approvers"),  # what nothing judges is no key
        ({"title": "title: T\nwaivers: {max_dys: 3}"}, "waivers: unknown key max_dys"),
    ],
)
def test_what_a_file_may_not_say(changes: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(tiny_policy(**changes), "tiny.yaml")
    assert words in caught.value.message
    assert caught.value.message.startswith("tiny.yaml")


def without(verdict: Verdict) -> tuple[object, ...]:
    return verdict.decision, verdict.status, verdict.summary, verdict.reasons, verdict.next_change_at, verdict.rules[0]


@given(st.sampled_from([[], [DR], [BROKEN_DR]]), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_shadow_never_changes_a_verdict(shadowed: list[Fact], with_good: bool, required: bool) -> None:
    facts = told(*([GOOD] if with_good else []), *shadowed)
    plain = judge(parse_policy(tiny_policy(), "tiny.yaml"), facts, NOW)
    policy = two_rules("required" if required else "advisory", "    mode: shadow\n")
    verdict = judge(policy, facts, NOW)
    assert without(verdict) == without(plain)
    assert (verdict.rules[1].status, verdict.rules[1].passed) == ("shadow", shadowed == [DR])


def test_a_required_rule_warns_until_its_date_and_then_fails() -> None:
    policy = two_rules("required", "    effective_on: 2030-05-02\n")
    begins = datetime(2030, 5, 2, tzinfo=UTC)
    fresh = Fact("ops.preflight", "", 1, "/x", "e", begins - timedelta(minutes=5), GOOD.data)
    before = judge(policy, told(fresh), begins - timedelta(minutes=1))
    assert (before.decision, rule(before, "two").status, before.next_change_at) == ("go", "warning", begins)
    after = judge(policy, told(fresh), begins)
    assert (after.decision, rule(after, "two").status) == ("no_go", "fail")


def test_what_a_rule_needs_must_be_there_whole_and_young() -> None:
    policy = parse_policy(
        tiny_policy(weight="    weight: 1\n    needs: [{kind: ops.dr, max_age_hours: 0.5}]"), "tiny.yaml"
    )
    assert judge(policy, told(GOOD), NOW).reasons == (
        "No DR rehearsal was received, which the rule needs; wanted one at most 0.5 hours old.",
    )
    good = judge(policy, told(GOOD, DR), NOW)
    assert good.decision == "go"
    assert good.rules[0].facts_used == tuple(sorted({GOOD.signal_id, DR.signal_id}))
    assert good.next_change_at == DR.time + timedelta(minutes=30, microseconds=1)
    assert judge(policy, told(GOOD, DR), good.next_change_at).decision == "no_go"
    assert "is broken" in judge(policy, told(GOOD, BROKEN_DR), NOW).reasons[0]


@given(st.lists(st.sampled_from(["missing", "broken"]), min_size=2, max_size=2))
@settings(max_examples=20, deadline=None)
def test_no_data_never_passes_whatever_the_rules_ask(states: list[str]) -> None:
    policy = two_rules("advisory", "", required="    severity: advisory")
    broken = [fact("ops.preflight", {"error_count": "x"}), BROKEN_DR]
    held = [one for one, state in zip(broken, states, strict=True) if state == "broken"]
    verdict = judge(policy, told(*held), NOW)
    assert verdict.decision == "no_go"
    assert verdict.reasons == ("No good fact was received of what the policy needs; wanted at least 1.",)
    assert judge(policy, told(DR), NOW).decision == "go"


def test_what_may_be_published() -> None:
    assert lint(two_rules(), NOW) == ()
    advisory = two_rules("advisory", "", required="    severity: advisory")
    assert "no rule is both required and enforced" in lint(advisory, NOW)[0]
    shadowed = two_rules("required", "    mode: shadow\n", required="    severity: advisory")
    assert "no rule is both required and enforced" in lint(shadowed, NOW)[0]
    later = two_rules("required", "    effective_on: 2099-01-01\n", required="    severity: advisory")
    assert "no required rule is in force yet" in lint(later, NOW)[0]
    assert lint(later, datetime(2099, 1, 1, tzinfo=UTC)) == ()
