"""What people decided: waivers, halts and freezes beside the facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge.facts import Facts
from libs.judge.standing import Freeze, Halt, Standing, Waiver
from libs.judge.verdict import judge
from tests.unit.governance.samples import (
    NOW,
    RELEASE,
    fact,
    finding,
    good_release,
    junit_data,
    rule,
)

DAY = timedelta(days=1)
ME = {"gate": "release", "subject": "app"}


def waiver(rule_id: str, **more: Any) -> Waiver:
    given = {"waiver_id": 1, **ME, "rule_id": rule_id, "begins_at": NOW - DAY, "ends_at": NOW + DAY, "reason": "known",
             "issue": "OPS-1", "requested_by": "ann", "approved_by": "bob"} | more  # fmt: skip
    return Waiver(**given)  # type: ignore[arg-type]


def standing(*waivers: Waiver, **more: Any) -> Standing:
    return Standing("release", "plant", "app", waivers, **more)


def facts(*, broken: bool = True) -> Facts:
    """All good but for one failing test."""
    data = junit_data("t::a", failed=("t::b",)) if broken else junit_data("t::a", "t::b")
    others = [one for one in good_release() if one.kind != "test.junit"]
    return Facts((fact("test.junit", data, part="unit", version="1.0"), *others), (), None, "1.0")


FAILING = next(one.id for one in judge(RELEASE, facts(), NOW).rules if not one.passed)


def test_a_waived_rule_leaves_the_count_and_stays_visible() -> None:
    assert judge(RELEASE, facts(), NOW).decision == "no_go"
    verdict = judge(RELEASE, facts(), NOW, standing(waiver(FAILING)))
    result = rule(verdict, FAILING)
    assert (verdict.decision, verdict.status, verdict.summary.waived_count) == ("go", "warning", 1)
    assert (result.status, result.passed, result.waivers[0].issue) == ("waived", False, "OPS-1")
    assert "failed" in result.message
    assert verdict.next_change_at is not None
    assert verdict.next_change_at <= NOW + DAY
    plain = judge(RELEASE, facts(), NOW)
    assert verdict.summary.passed_rules == plain.summary.passed_rules
    assert verdict.summary.weighted_passed == plain.summary.weighted_passed


def test_the_score_of_nothing_but_waived_rules_is_zero() -> None:
    every = tuple(waiver(one.id, waiver_id=place, without_evidence=True) for place, one in enumerate(RELEASE.rules, 1))
    verdict = judge(RELEASE, Facts((), (), None, "1.0"), NOW, standing(*every))
    assert verdict.summary.weighted_score_percent == 0.0
    assert all(one.status == "waived" for one in verdict.rules)


@pytest.mark.parametrize(
    "other",
    [{"subject": "else"}, {"gate": "operations"}, {"version": "1.1"}, {"ends_at": NOW}, {"begins_at": NOW + DAY}],
)
def test_a_waiver_of_something_else_or_another_time_changes_nothing(other: dict[str, Any]) -> None:
    found = facts()
    verdict = judge(RELEASE, found, NOW, standing(waiver(FAILING, **other)))
    assert verdict == judge(RELEASE, found, NOW)


def test_a_waiver_that_nothing_needs_is_named() -> None:
    verdict = judge(RELEASE, facts(broken=False), NOW, standing(waiver(FAILING, waiver_id=7)))
    assert (verdict.decision, verdict.status, verdict.unused_waivers) == ("go", "success", (7,))


def test_missing_facts_are_waived_only_in_so_many_words() -> None:
    nothing = replace(facts(), current=tuple(one for one in facts().current if one.kind != "test.junit"))
    assert judge(RELEASE, nothing, NOW, standing(waiver(FAILING))).decision == "no_go"
    covered = judge(RELEASE, nothing, NOW, standing(waiver(FAILING, without_evidence=True)))
    assert (covered.decision, rule(covered, FAILING).status) == ("go", "waived")


def test_a_waived_rule_fails_when_its_evidence_grows_old() -> None:
    verdict = judge(RELEASE, facts(), NOW, standing(waiver(FAILING, ends_at=NOW + 90 * DAY)))
    assert verdict.next_change_at is not None
    late = judge(RELEASE, facts(), verdict.next_change_at, standing(waiver(FAILING, ends_at=NOW + 90 * DAY)))
    assert late.decision == "no_go"


def scanned(*names: str) -> Facts:
    data = {"tool": "s", "findings": [finding(name) for name in names], "suppressed": 0, "execution_successful": True}
    base = {**data, "findings": []}
    others = [one for one in good_release() if one.kind != "scan.sarif"]
    now = fact("scan.sarif", data, part="s", version="1.0")
    return Facts((now, *others), (fact("scan.sarif", base, part="s", version="0.9"),), 3, "1.0")


def test_a_finding_is_waived_by_its_fingerprint_and_no_other_is() -> None:
    scan = next(one.id for one in RELEASE.rules if one.kind == "scan.sarif")
    one = waiver(scan, fingerprint="f1")
    verdict = judge(RELEASE, scanned("f1"), NOW, standing(one))
    assert rule(verdict, scan).status == "waived"
    assert rule(judge(RELEASE, scanned("f1", "f2"), NOW, standing(one)), scan).status == "fail"
    gone = judge(RELEASE, scanned(), NOW, standing(one))
    assert (rule(gone, scan).status, gone.unused_waivers) == ("pass", (1,))


def test_a_halt_forbids_go_and_says_who_and_why() -> None:
    halt = Halt(1, "global", "*", "bad certificate", "eve", NOW)
    verdict = judge(RELEASE, facts(broken=False), NOW, standing(halts=(halt,)))
    assert (verdict.decision, verdict.status) == ("no_go", "critical")
    assert verdict.reasons == ("The line is stopped by eve (everywhere): bad certificate.",)
    for other in (replace(halt, subjects="web-*"), replace(halt, site="mill")):
        assert judge(RELEASE, facts(broken=False), NOW, standing(halts=(other,))).decision == "go"


def test_a_freeze_forbids_go_until_its_end_and_its_begin_ends_a_go() -> None:
    freeze = Freeze("year-end", NOW + timedelta(minutes=1), NOW + DAY, "closing the books")
    before = judge(RELEASE, facts(broken=False), NOW, standing(freezes=(freeze,)))
    assert (before.decision, before.next_change_at) == ("go", freeze.begins_at)
    during = judge(RELEASE, facts(broken=False), freeze.begins_at, standing(freezes=(freeze,)))
    assert (during.decision, during.holds[0].until) == ("no_go", freeze.ends_at)
    assert judge(RELEASE, facts(broken=False), freeze.ends_at, standing(freezes=(freeze,))).holds == ()


TIMES = st.integers(-3, 3).map(lambda days: NOW + days * DAY)
WAIVERS = st.builds(
    waiver,
    st.sampled_from([one.id for one in RELEASE.rules]),
    waiver_id=st.integers(1, 9),
    begins_at=TIMES,
    ends_at=TIMES,
    version=st.sampled_from(["", "1.0", "2.0"]),
    subject=st.sampled_from(["app", "else"]),
    without_evidence=st.booleans(),
)


@given(st.lists(WAIVERS, max_size=5, unique_by=lambda one: one.waiver_id), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_waiver_outlives_its_end_and_order_does_not_matter(waivers: list[Waiver], broken: bool) -> None:
    found = facts(broken=broken)
    verdict = judge(RELEASE, found, NOW, standing(*waivers))
    assert verdict == judge(RELEASE, found, NOW, standing(*reversed(waivers)))
    counting = [w for w in waivers if w.subject == "app" and w.version != "2.0" and w.begins_at <= NOW < w.ends_at]
    assert verdict == judge(RELEASE, found, NOW, standing(*counting))
    for one in verdict.rules:
        assert all(used.ends_at > NOW for used in one.waivers)
        assert (one.status == "waived") == bool(one.waivers)
    over = max((NOW, *(w.ends_at for w in waivers)))
    assert judge(RELEASE, found, over, standing(*waivers)).summary.waived_count == 0


@given(st.lists(WAIVERS, max_size=5, unique_by=lambda one: one.waiver_id), st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_halt_always_wins(waivers: list[Waiver], broken: bool) -> None:
    halt = Halt(1, "plant", "app", "stop", "eve", NOW)
    assert judge(RELEASE, facts(broken=broken), NOW, standing(*waivers, halts=(halt,))).decision == "no_go"


def test_a_calendar_that_is_named_and_missing_forbids_go() -> None:
    verdict = judge(RELEASE, facts(broken=False), NOW, standing(missing_calendars=("year-end",)))
    assert (verdict.decision, verdict.holds[0].kind) == ("no_go", "freeze")
