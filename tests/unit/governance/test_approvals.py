"""Approvals, pure: who counts, how often, and for what."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.approval_evidence import evidence_of
from libs.judge.approvals import PARTS, Approval, Evidence, differing, weigh
from libs.judge.combine import combine
from libs.judge.facts import Facts
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_model import ApprovalTerms
from libs.judge.standing import Standing, Waiver
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, RELEASE, fact, good_release, tiny_policy

TWO = (ApprovalTerms(2, ("manager",), ("qa",)),)
SEEN = Evidence("c", "p", "f", "e", ("lint:warning",))
NAMES = ("ann", "bob", "cem", "dee", "eve")


def approval(person: str, number: int = 1, **more: Any) -> Approval:
    given = {"word": "approved", "actor": person, "role": "manager", "groups": (), "given_at": NOW, "reason": "fine",
             "evidence": SEEN, "approval_id": number} | more  # fmt: skip
    return Approval(person=person, **given)  # type: ignore[arg-type]


def of(*people: str) -> list[Approval]:
    return [approval(person, number) for number, person in enumerate(people, 1)]


def test_enough_persons_and_not_one_less() -> None:
    assert weigh(TWO, 0, of("ann", "bob"), SEEN, NOW).missing == ()
    one = weigh(TWO, 0, of("ann"), SEEN, NOW)
    assert one.missing == ("Pending approvals: 1 of 2 (roles manager; groups qa).",)
    assert weigh(TWO, 1, of("ann", "bob"), SEEN, NOW).counts == ((2, 3),)
    assert weigh((), 1, of("ann"), SEEN, NOW).missing == ()
    assert weigh((), 0, of(), SEEN, NOW).missing == ()


def test_roles_and_groups_count_and_others_do_not() -> None:
    qa = approval("cem", 2, role="viewer", groups=("qa",))
    assert weigh(TWO, 0, [approval("ann"), qa], SEEN, NOW).missing == ()
    other = approval("cem", 2, role="operator", groups=("dev",))
    assert weigh(TWO, 0, [approval("ann"), other], SEEN, NOW).counts == ((1, 2),)


def test_a_refusal_stands_whoever_approves() -> None:
    said = [*of("ann", "bob", "cem"), approval("dee", 9, word="declined", reason="not yet")]
    assert weigh(TWO, 0, said, SEEN, NOW).missing == ("dee declined it: not yet.",)
    late = replace(said[-1], evidence=replace(SEEN, facts="x"))
    assert weigh(TWO, 0, [*said[:-1], late], SEEN, NOW).missing == (), "of other evidence it says nothing"


@pytest.mark.parametrize("part", PARTS)
def test_any_drift_voids(part: str) -> None:
    changed: dict[str, Any] = {part: "other"}
    now = replace(SEEN, **changed)
    found = weigh(TWO, 0, of("ann", "bob"), now, NOW)
    assert found.counts == ((0, 2),)
    assert differing(SEEN, now) == (part,)
    assert "The approval of bob is void: " in found.missing[-1]
    assert all(one.void for one in found.shown)


def test_a_rule_that_is_worse_voids_and_one_that_is_better_does_not() -> None:
    assert weigh(TWO, 0, of("ann", "bob"), replace(SEEN, shortfalls=()), NOW).missing == ()
    worse = weigh(TWO, 0, of("ann", "bob"), replace(SEEN, shortfalls=("lint:warning", "sbom:warning")), NOW)
    assert "a rule is worse" in worse.missing[-1]


def test_an_approval_grows_old_and_says_when() -> None:
    terms = (replace(TWO[0], max_age_hours=2),)
    said = [approval("ann", 1), approval("bob", 2, given_at=NOW - timedelta(hours=1)), approval("cem", 3)]
    assert weigh(terms, 0, said, SEEN, NOW).ends_at == NOW + timedelta(hours=2), "the youngest two are enough"
    assert weigh(terms, 0, said[:2], SEEN, NOW).ends_at == NOW + timedelta(hours=1)
    assert weigh(terms, 0, said[:2], SEEN, NOW + timedelta(hours=1)).counts == ((1, 2),)
    ahead = replace(said[1], given_at=NOW + timedelta(minutes=1))
    assert weigh(terms, 0, [said[0], ahead], SEEN, NOW).counts == ((1, 2),), "a clock that ran ahead wins nothing"


voices = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans()), max_size=8)


@settings(max_examples=200, deadline=None)
@given(voices, st.integers(1, 5), st.integers(0, 100))
def test_whatever_is_said_nobody_counts_twice_and_the_order_says_nothing(
    said: list[tuple[str, str, bool]], count: int, seed: int
) -> None:
    terms = (ApprovalTerms(count, ("manager",)),)
    given_ = [
        approval(person, number, actor=actor, evidence=SEEN if fresh else replace(SEEN, facts="old"))
        for number, (actor, person, fresh) in enumerate(said, 1)
    ]
    found = weigh(terms, 0, given_, SEEN, NOW)
    valid = [(actor, person) for actor, person, fresh in said if fresh]
    have = found.counts[0][0]
    assert have <= len({actor for actor, _ in valid})
    assert have <= len({person for _, person in valid})
    assert (found.missing == ()) == (have >= count)
    mixed = random.Random(seed).sample(given_, len(given_))
    assert weigh(terms, 0, mixed, SEEN, NOW) == found
    again = [*given_, *(replace(one, approval_id=one.approval_id + 100) for one in given_)]
    assert weigh(terms, 0, again, SEEN, NOW).counts == found.counts, "a word said twice is said once"


# --- in a verdict ---------------------------------------------------------------------------------------------------

POLICY = replace(RELEASE, approvals=TWO)


def facts(**more: Any) -> Facts:
    return replace(Facts(tuple(good_release()), (), None, "1.0"), **more)


def standing(*approvals: Approval, **more: Any) -> Standing:
    return Standing("release", "plant", "app", approvals=approvals, **more)


def seen(found: Facts, policy: Policy = POLICY, **more: Any) -> Evidence:
    now = standing(**more)
    return evidence_of(policy, found, now, judge(policy, found, NOW, now).rules, NOW)


def test_a_verdict_waits_for_its_approvals_and_shows_them() -> None:
    found = facts()
    waiting = judge(POLICY, found, NOW, standing())
    assert (waiting.decision, waiting.holds[0].kind, waiting.evidence) == ("no_go", "approval", seen(found).sha256)
    both = [replace(one, evidence=seen(found)) for one in of("ann", "bob")]
    verdict = judge(POLICY, found, NOW, standing(*both))
    assert (verdict.decision, [one.person for one in verdict.approvals]) == ("go", ["ann", "bob"])
    assert judge(POLICY, found, NOW, standing(both[0])).decision == "no_go"


def test_the_clock_and_a_repeated_report_are_no_drift_and_everything_else_is() -> None:
    found = facts()
    first = seen(found)
    repeated = tuple(replace(one, signal_id=one.signal_id + 500, event_id="x", time=NOW) for one in found.current)
    assert seen(replace(found, current=repeated)) == first
    assert seen(replace(found, current=tuple(reversed(found.current)))) == first
    one, *rest = found.current
    changes: tuple[dict[str, Any], ...] = ({"data": {"passed": 1}}, {"actor": "eve"}, {"source": "/x"}, {"part": "p"})
    for changed in changes:
        assert seen(replace(found, current=(replace(one, **changed), *rest))).sha256 != first.sha256, changed
    assert seen(replace(found, current=(*found.current, fact("ops.dr", {})))).facts != first.facts
    assert seen(replace(found, version="1.1")).candidate != first.candidate
    assert seen(found, replace(POLICY, digest="other")).policy != first.policy
    waiver = Waiver(1, "release", "app", "tests_passed", NOW, NOW + timedelta(days=1), "known", "", "ann", "bob")
    assert seen(found, waivers=(waiver,)).exceptions != first.exceptions


def test_a_policy_says_who_approves() -> None:
    text = tiny_policy(description="description: One\napprovals: {count: 2, groups: [qa], max_age_hours: 8}")
    assert parse_policy(text, "t.yaml").approvals == (ApprovalTerms(2, (), ("qa",), 8),)
    plain = parse_policy(tiny_policy(description="description: One\napprovals: {}"), "t.yaml")
    assert plain.approvals == (ApprovalTerms(1, ("manager", "owner")),)
    both = combine(parse_policy(text, "t.yaml"), plain)
    assert both.approvals == (ApprovalTerms(2, (), ("qa",), 8), ApprovalTerms(1, ("manager", "owner")))
    for wrong in ("{count: 0}", "{count: 21}", "{roles: [Q A]}", "{many: 1}", "{max_age_hours: 0}"):
        with pytest.raises(PolicyError):
            parse_policy(tiny_policy(description=f"description: One\napprovals: {wrong}"), "t.yaml")
