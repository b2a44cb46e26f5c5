"""The release gate: baselines, vanished tests and scanners, alerts and the heartbeat."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.judge.facts import Fact, Facts, OpenFailure, Seen
from libs.judge.overrides import apply_overrides
from libs.judge.policy import parse_policy
from libs.judge.test_ids import pack
from libs.judge.verdict import Verdict, judge
from tests.unit.governance.samples import (
    NOW,
    RELEASE,
    alert_fact,
    coverage_data,
    fact,
    finding,
    good_release,
    junit_data,
    rule,
    scan_data,
    tiny_policy,
    watchdog,
)

# The last GO was given with a high finding, by whatever it was excused.
BASELINE = (
    *(one for one in good_release("0.9") if one.kind != "scan.sarif"),
    fact("scan.sarif", scan_data(finding("old")), part="bandit", version="0.9"),
)
SHORT = [{"what": "tests", "announced": 40, "found": 2}]
LINES = [{"what": "lines", "announced": 1000, "found": 2}]
FINDINGS = [{"what": "high or critical findings", "announced": 9, "found": 2}]
HIDDEN = [{"what": "failures", "announced": 1, "found": 0}]


def release(*changed: Fact, without: str = "", baseline: tuple[Fact, ...] = BASELINE, run: int | None = 7) -> Verdict:
    """Judge 1.0 with good facts, where the facts of the kinds in ``changed`` (or ``without``) are replaced."""
    kinds = {one.kind for one in changed} | {without}
    current = [*changed, *(one for one in good_release() if one.kind not in kinds)]
    return judge(RELEASE, Facts(tuple(current), baseline, run, "1.0"), NOW)


def ran(*passed: str, part: str = "default", **more: Any) -> Fact:
    age = more.pop("age", timedelta(hours=1))
    return fact("test.junit", junit_data(*passed, **more), part=part, version="1.0", age=age)


def scan(*findings: dict[str, Any], part: str = "bandit", finished: bool = True) -> Fact:
    return fact("scan.sarif", scan_data(*findings, finished=finished), part=part, version="1.0")


def coverage(covered: int, valid: int, part: str = "default") -> Fact:
    return fact("coverage.cobertura", coverage_data(covered, valid), part=part, version="1.0")


def test_good_facts_give_go_against_a_baseline_and_without() -> None:
    verdict = release()
    assert (verdict.decision, verdict.status, verdict.baseline_run) == ("go", "success", 7)
    assert [result.baseline for result in verdict.rules] == ["7", "7", "7", None]
    first = release(baseline=(), run=None)
    assert first.decision == "go"
    assert [result.baseline for result in first.rules] == ["none", "none", "none", None]
    message = "0 of 2 tests failed, 0 flaky and 0 vanished; wanted 0 failed, at most 0 flaky and 0 vanished."
    assert first.rules[0].message == f"{message} Baseline: none."
    assert first.next_change_at == NOW + timedelta(minutes=14, microseconds=1)


def test_facts_of_another_version_never_count() -> None:
    facts = Facts((*good_release("1.1"),), BASELINE, 7, "1.0")
    verdict = judge(RELEASE, facts, NOW)
    assert [result.passed for result in verdict.rules] == [False, False, False, True]
    expected = "No test report of version 1.0 was received; wanted one at most 24 hours old."
    assert verdict.rules[0].message == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ([ran("a", failed=("b",))], "1 of 2 tests failed (b); wanted 0 failed."),
        ([ran()], "0 of 0 tests passed and 2 tests vanished since the last GO (a, b); wanted at least 1 passed and"),
        ([ran(skipped=("a", "b"))], "0 of 2 tests passed"),
        ([ran("a")], "1 tests vanished since the last GO (b); wanted at most 0 vanished."),
        ([ran("a", skipped=("b",))], "1 tests vanished since the last GO (b)"),
        ([ran("a", "b"), ran(part="more")], "No test passed in the report more; wanted at least 1 passed in each"),
        ([ran("a", "b", age=timedelta(hours=25))], "The newest test report is 25 hours old; wanted at most 24 hours"),
        (
            [ran("a", "b"), ran("c", part="slow", age=timedelta(hours=25))],
            "The newest test report slow is 25 hours",
        ),
    ],
)
def test_tests_rule(changed: list[Fact], message: str) -> None:
    verdict = release(*changed)
    assert verdict.decision == "no_go"
    assert message in rule(verdict, "tests_passed").message


def based_on(*facts: Fact) -> tuple[Fact, ...]:
    """The baseline with these instead of its own of their kind."""
    return (*facts, *(one for one in BASELINE if one.kind != facts[0].kind))


def test_a_report_of_the_last_go_that_is_missing() -> None:
    before = based_on(ran("a", "b", part="unit"), ran("c", part="it"))
    one = rule(release(ran("a", "b", part="unit"), ran("c", part="e2e"), baseline=before), "tests_passed")
    assert "The test report it of the last GO is missing; wanted every report of the last GO" in one.message
    before = based_on(coverage(9, 10, "unit"))
    one = rule(release(coverage(9, 10, "it"), baseline=before), "coverage_line")
    assert "The coverage report unit of the last GO is missing" in one.message


def test_a_report_without_a_name_goes_on_under_its_files_name() -> None:
    assert rule(release(ran("a", "b", part="unit")), "tests_passed").passed
    assert rule(release(ran("a", part="unit"), ran("b", "c", part="it")), "tests_passed").passed
    one = rule(release(ran("a", part="unit"), ran("c", part="it")), "tests_passed")
    assert one.message == "1 tests vanished since the last GO (b); wanted at most 0 vanished."
    # The next GO has the new names in its baseline, and then each is wanted.
    before = based_on(ran("a", part="unit"), ran("b", part="it"))
    assert not rule(release(ran("a", "b", part="unit"), baseline=before), "tests_passed").passed
    assert rule(release(coverage(9, 10, "unit")), "coverage_line").passed
    assert not rule(release(coverage(9, 10, "unit"), coverage(9, 10, "it")), "coverage_line").passed


def test_a_scanner_that_begins_to_name_its_category_goes_on() -> None:
    assert rule(release(scan(finding("old"), part="bandit:app")), "sarif_no_new_high").passed
    one = rule(release(scan(finding("old"), finding("fresh"), part="bandit:app")), "sarif_no_new_high")
    assert one.detail["new_severe_count"] == 1
    assert not rule(release(scan(finding("old"), part="bandits")), "sarif_no_new_high").passed


def test_a_failed_test_that_is_merely_absent_still_fails() -> None:
    seen = Seen(12, NOW - timedelta(hours=3))
    result = rule(release(replace(ran("a", "b"), open_failures=(OpenFailure("c", seen),))), "tests_passed")
    assert result.message == (
        "1 tests that failed in this version were not shown passing since (c: signal 12, report default, 3 hours ago); "
        "wanted each shown passing by a later report of the same part."
    )


def broken(kind: str, part: str, good: Seen | None, problem: str = "It is cut off.") -> Fact:
    return replace(fact(kind, {}, part=part, version="1.0"), problems=(problem,), good=good)


def test_the_newest_fact_counts_also_if_it_is_broken() -> None:
    last = Seen(5, NOW - timedelta(days=4))
    newest = broken("test.junit", "unit", last)
    result = rule(release(ran("a", "b"), newest), "tests_passed")
    assert result.message == (
        f"The test report unit (signal {newest.signal_id}) is broken: It is cut off; the last good one, signal 5, is 4 "
        "days old; wanted valid data."
    )
    never = rule(release(ran("a", "b"), broken("test.junit", "unit", None)), "tests_passed")
    assert "is broken: It is cut off; there was no good one before; wanted valid data." in never.message
    itself = fact("test.junit", {}, part="unit", version="1.0")
    stricter = rule(release(replace(itself, good=Seen(itself.signal_id, itself.time))), "tests_passed")
    assert stricter.message.endswith("is broken: total is missing; wanted valid data.")
    # Data that were refused when they came do not become right by a later, more lenient Headgate.
    data = junit_data("a", "b")
    refused = replace(fact("test.junit", data, version="1.0"), problems=("old reason",))
    assert not rule(release(refused), "tests_passed").passed


def test_a_report_that_could_not_be_read_fails_the_rules_of_its_kind() -> None:
    unread = broken("scan.sarif", "ruff", None)
    facts = Facts(tuple(good_release()), BASELINE, 7, "1.0", (unread,))
    verdict = judge(RELEASE, facts, NOW)
    assert [result.passed for result in verdict.rules] == [True, True, False, True]
    assert unread.signal_id in verdict.rules[2].facts_used
    alone = judge(RELEASE, Facts((), (), None, "1.0", (unread,)), NOW).rules[2]
    assert alone.message.startswith("The scan report ruff (signal")
    assert "no good one of this sender is known" in alone.message
    other = judge(RELEASE, replace(facts, unread=(replace(unread, version="1.1"),)), NOW)
    assert other.decision == "go"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"flaky": 1, "flaky_tests": ["b"]}, "1 tests are flaky: they failed and then passed (b); wanted at most 0"),
        (
            {"incomplete": SHORT},
            "The test report is incomplete: 40 tests are announced and 2 are there; wanted a whole",
        ),
        (
            {"incomplete": HIDDEN, "passed": 1, "failed": 1},
            "1 of 2 tests failed (1 that no element shows) and the test report is incomplete: 1 failure is announced",
        ),
    ],
)
def test_flaky_and_incomplete_reports_fail(more: dict[str, Any], message: str) -> None:
    one = fact("test.junit", {**junit_data("a", "b"), **more}, version="1.0")
    assert message in rule(release(one), "tests_passed").message


def test_notes_of_the_reports_stand_with_the_rule() -> None:
    odd = [f"note {number}" for number in range(12)]
    noted = fact("test.junit", {**junit_data("a", "b"), "notes": odd}, part="unit", version="1.0")
    plain = fact("test.junit", {**junit_data("a", "b"), "notes": ["odd"]}, version="1.0")
    notes = rule(release(plain, noted), "tests_passed").notes
    assert notes == ("default: odd", *(f"unit: note {number}" for number in range(8)), "2 more notes")


def test_the_policy_says_what_flaky_and_vanished_tests_are_worth() -> None:
    flaky = fact("test.junit", {**junit_data("a"), "flaky": 1, "flaky_tests": ["a"]}, version="1.0")
    current = (flaky, *(one for one in good_release() if one.kind != "test.junit"))
    for overrides, passed in (
        ({"MAX_FLAKY": "1"}, False),
        ({"MAX_VANISHED": "1"}, False),
        ({"MAX_FLAKY": "1", "MAX_VANISHED": "1"}, True),
    ):
        policy = apply_overrides(RELEASE, overrides)
        assert rule(judge(policy, Facts(current, BASELINE, 7, "1.0"), NOW), "tests_passed").passed is passed


def test_vanished_tests_of_very_large_reports_are_counted() -> None:
    packed = {**junit_data("a", "b"), "tests": [], "tests_packed": pack(["a", "b"])}
    now = {**junit_data("a"), "tests": [], "tests_packed": pack(["a"])}
    listed, unlisted = junit_data("a", "b"), junit_data("a")
    for before, after, names in ((packed, now, ["?"]), (packed, unlisted, ["?"]), (listed, now, ["b"])):
        baseline = (fact("test.junit", before, version="0.9"),)
        detail = rule(release(fact("test.junit", after, version="1.0"), baseline=baseline), "tests_passed").detail
        assert (detail["vanished_count"], detail["vanished"]) == (1, names)


def test_what_was_skipped_in_the_baseline_may_stay_away() -> None:
    baseline = (fact("test.junit", junit_data("a", skipped=("b",)), version="0.9"),)
    assert rule(release(ran("a", skipped=("b",)), baseline=baseline), "tests_passed").passed is True
    assert rule(release(ran("a", "c"), baseline=baseline), "tests_passed").passed is True


def test_a_test_that_fails_has_not_vanished() -> None:
    assert rule(release(ran("a", failed=("b",))), "tests_passed").detail["vanished_count"] == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            [coverage(7_999, 10_000)],
            "Line coverage is 79.99 percent in the report default; wanted at least 80 percent.",
        ),
        (
            [coverage(0, 0)],
            "The coverage report default covers 0 lines of code; wanted at least 1 line of code in each",
        ),
        (
            [fact("coverage.cobertura", {**coverage_data(9, 10), "incomplete": LINES}, part="ui", version="1.0")],
            "The coverage report is incomplete: 1000 lines are announced and 2 are there in the report ui; wanted",
        ),
        ([coverage(9, 10), coverage(1, 2, "ui")], "Line coverage is 50 percent in the report ui"),
        (
            [coverage(9, 10, "unit"), coverage(9, 10, "it")],
            "The coverage report default of the last GO is missing",
        ),
    ],
)
def test_coverage_rule(changed: list[Fact], message: str) -> None:
    verdict = release(*changed)
    assert verdict.decision == "no_go"
    assert message in rule(verdict, "coverage_line").message


def test_coverage_at_its_minimum_passes() -> None:
    assert rule(release(coverage(8, 10)), "coverage_line").passed is True


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            [scan(finding("old"), finding("fresh"))],
            "1 findings of level high or critical are new (R1 in a.py:7); wanted 0 new.",
        ),
        ([scan(finding("fresh", "critical"))], "1 findings of level high or critical are new"),
        ([scan(finding("old"), finished=False)], "The scan of bandit did not finish; wanted every scan finished."),
        ([scan(finding("old"), part="ruff")], "The scan of bandit is missing, which the last GO had"),
        (
            [fact("scan.sarif", {**scan_data(), "incomplete": FINDINGS}, part="bandit", version="1.0")],
            "The scan report is incomplete: 9 high or critical findings are announced and 2 are there in the report b",
        ),
        ([scan(), scan(finding("old"), part="ruff")], "1 findings of level high or critical are new"),
    ],
)
def test_scan_rule(changed: list[Fact], message: str) -> None:
    verdict = release(*changed)
    assert verdict.decision == "no_go"
    assert message in rule(verdict, "sarif_no_new_high").message


def test_old_and_lesser_findings_pass() -> None:
    assert rule(release(scan(finding("old"), finding("x", "medium"))), "sarif_no_new_high").passed is True
    assert rule(release(scan()), "sarif_no_new_high").passed is True


def test_a_finding_that_grew_to_high_is_new() -> None:
    baseline = (fact("scan.sarif", scan_data(finding("f", "medium")), part="bandit", version="0.9"),)
    assert rule(release(scan(finding("f", "high")), baseline=baseline), "sarif_no_new_high").passed is False


def test_a_failed_scan_fails_without_a_baseline_too() -> None:
    assert rule(release(scan(finished=False), baseline=(), run=None), "sarif_no_new_high").passed is False


def test_a_kind_that_the_baseline_lacks_is_a_first_time() -> None:
    baseline = tuple(one for one in BASELINE if one.kind != "scan.sarif")
    result = rule(release(baseline=baseline), "sarif_no_new_high")
    assert (result.passed, result.baseline) == (True, "none")
    assert rule(release(scan(finding("old")), baseline=baseline), "sarif_no_new_high").passed is False


def test_a_broken_baseline_fails() -> None:
    baseline = (*BASELINE, fact("scan.sarif", {"tool": "x"}, part="other", version="0.9"))
    result = rule(release(baseline=baseline), "sarif_no_new_high")
    assert "The baseline scan report other (signal " in result.message


OLD = timedelta(days=40)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            [watchdog(timedelta(minutes=16))],
            "The newest Watchdog heartbeat is 16 minutes old; wanted at most 15 minutes",
        ),
        (
            [alert_fact("g", ("Minor", "firing", "warning"))],
            "No Watchdog heartbeat fires; wanted a Watchdog heartbeat at",
        ),
        ([alert_fact("w", ("Watchdog", "resolved", "none"))], "No Watchdog heartbeat fires"),
        (
            [watchdog(), alert_fact("g", ("Disk", "firing", "critical"), age=OLD)],
            "1 critical alerts fire (Disk) and the alert group",  # and that it is stale
        ),
        (
            [watchdog(), alert_fact("g", ("Minor", "firing", "warning"), truncatedAlerts=3)],
            "3 alerts were left out of the webhook; wanted 0 left out",
        ),
        (
            [watchdog(OLD), alert_fact("g", ("Disk", "firing", "critical"))],
            "1 critical alerts fire (Disk) and the newest Watchdog heartbeat is 40 days old",
        ),
    ],
)
def test_alert_rule(changed: list[Fact], message: str) -> None:
    verdict = release(*changed)
    assert verdict.decision == "no_go"
    assert message in rule(verdict, "alerts_none_critical").message


def test_silence_is_not_a_pass() -> None:
    result = rule(release(without="alert.alertmanager"), "alerts_none_critical")
    assert result.message == "No alert group was received; wanted a Watchdog heartbeat at most 15 minutes old."


@pytest.mark.parametrize(
    "more",
    [
        alert_fact("g", ("Disk", "resolved", "critical"), age=OLD),
        alert_fact("g", ("Minor", "firing", "warning"), age=OLD),
        alert_fact("old watchdog", ("Watchdog", "firing", "none"), age=OLD),
    ],
)
def test_old_and_harmless_groups_pass(more: Fact) -> None:
    assert rule(release(watchdog(), more), "alerts_none_critical").passed is True


def test_the_newest_body_of_a_group_replaces_the_others() -> None:
    firing = alert_fact("g", ("Disk", "firing", "critical"), age=timedelta(minutes=9))
    resolved = alert_fact("g", ("Disk", "resolved", "critical"), age=timedelta(minutes=3))
    assert rule(release(watchdog(), firing, resolved), "alerts_none_critical").passed is True


def test_a_condition_that_gives_no_bool_fails_its_rule() -> None:
    data = {"overall_status": "ok", "error_count": 0, "warning_count": 0}
    for condition, words in (
        ("fact.nope == 0", "could not be judged (Key not found"),
        ("fact.overall_status", "could not be judged (the condition gave STRING"),
    ):
        policy = parse_policy(tiny_policy(condition=f"    condition: {condition}"), "tiny.yaml")
        verdict = judge(policy, Facts((fact("ops.preflight", data, age=timedelta(minutes=1)),)), NOW)
        assert verdict.decision == "no_go"
        assert words in verdict.rules[0].message
        assert verdict.rules[0].wanted == "at most 3"


def test_an_ageless_rule_never_expires() -> None:
    policy = parse_policy(tiny_policy(max_age="    ageless_reason: It never changes."), "tiny.yaml")
    data = {"overall_status": "ok", "error_count": 0, "warning_count": 0}
    verdict = judge(policy, Facts((fact("ops.preflight", data, age=OLD),)), NOW)
    assert (verdict.decision, verdict.next_change_at) == ("go", None)
    assert judge(policy, Facts(), NOW).rules[0].wanted == "one"
