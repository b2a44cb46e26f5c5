"""The first run of a subject has nothing to compare with: every finding is new then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from libs.judge.facts import Facts
from libs.judge.verdict import RuleResult, judge
from tests.unit.governance.samples import NOW, RELEASE, fact, finding, good_release, junit_data, rule, scan_data


def first_run(severity: str) -> RuleResult:
    others = [one for one in good_release() if one.kind != "scan.sarif"]
    scan = fact("scan.sarif", scan_data(finding("old", severity)), part="bandit", version="1.0")
    return rule(judge(RELEASE, Facts((*others, scan), (), None, "1.0"), NOW), "sarif_no_new_high")


def test_without_a_baseline_every_finding_is_new() -> None:
    result = first_run("high")
    assert (result.passed, result.baseline) == (False, "none")
    assert result.observed == "1 findings of level high or critical are new (R1 in a.py:7)"
    assert first_run("medium").passed is True


def test_a_baseline_of_a_clock_that_ran_ahead_forbids_nothing() -> None:
    """It is only compared with; else a clock that is set right by a day would forbid every GO for a day."""
    ahead = [replace(one, time=NOW + timedelta(days=1)) for one in good_release()]
    assert judge(RELEASE, Facts((*good_release("2.0"),), (*ahead,), 7, "2.0"), NOW).verdict == "GO"
    assert judge(RELEASE, Facts((*ahead,), (), None, "1.0"), NOW).verdict == "NO_GO"


def test_a_report_in_which_all_tests_failed_is_evidence_and_one_without_tests_is_none() -> None:
    others = [one for one in good_release() if one.kind != "test.junit"]
    for data, seen in ((junit_data(failed=("a",)), True), (junit_data(), False)):
        report = fact("test.junit", data, version="1.0")
        verdict = judge(RELEASE, Facts((*others, report), (), None, "1.0"), NOW)
        failing = [one for one in verdict.rules if report.signal_id in one.facts_used]
        assert failing
        assert [one.has_evidence for one in failing if not one.passed] == [seen] * len(failing)
