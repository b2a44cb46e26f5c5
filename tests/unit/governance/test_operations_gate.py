"""The seven rules of the operations gate: each passes and fails, and what the verdict makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.judge.facts import Facts
from libs.judge.policy import apply_overrides
from libs.judge.verdict import judge
from tests.unit.governance.samples import GOOD_OPERATIONS, NOW, OPERATIONS, fact, operations_facts, rule

RULE_OF = {
    "preflight": "preflight_no_error",
    "runbook": "runbook_no_critical",
    "security": "security_risk_within_max",
    "daily_check": "daily_check_recent",
    "dr": "dr_restore_valid_recent",
    "deploy_smoke": "deploy_smoke_binding_recent",
    "quality_streak": "weekly_streak_target_met",
}


def test_good_facts_give_go() -> None:
    verdict = judge(OPERATIONS, operations_facts(), NOW)
    assert (verdict.decision, verdict.status, verdict.reasons) == ("go", "success", ())
    assert [result.status for result in verdict.rules] == ["pass"] * 7
    summary = verdict.summary
    assert (summary.total_rules, summary.required_rules, summary.passed_rules) == (7, 3, 7)
    assert (summary.weighted_total, summary.weighted_passed, summary.weighted_score_percent) == (10.0, 10.0, 100.0)


def test_details_hold_the_keys_of_the_facility_system() -> None:
    verdict = judge(OPERATIONS, operations_facts(), NOW)
    assert [list(result.detail) for result in verdict.rules] == [
        ["overall_status", "error_count", "warning_count"],
        ["overall_status", "critical_count", "check_count"],
        ["risk_level", "risk_score", "max_risk_level", "window_days"],
        ["max_age_hours", "latest_run_at", "latest_status"],
        ["enabled", "max_age_days", "latest_run_at", "latest_status", "latest_restore_valid"],
        [
            *("max_age_hours", "latest_run_at", "latest_status", "rollback_ready", "runbook_gate_passed"),
            *("rollback_reference_match", "rollback_reference_sha256_match", "current_checklist_version"),
            *("latest_checklist_version", "checklist_version_match", "ui_main_shell_checked", "ui_main_shell_status"),
        ],
        ["current_streak_weeks", "target_weeks"],
    ]
    assert rule(verdict, "security_risk_within_max").detail == {
        "risk_level": "medium",
        "risk_score": 40,
        "max_risk_level": "high",
        "window_days": 30,
    }
    assert None not in rule(verdict, "deploy_smoke_binding_recent").detail.values()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "preflight",
            {"error_count": 2, "overall_status": "critical"},
            "2 preflight checks are in error and the preflight is critical; wanted 0 in error and not critical.",
        ),
        ("preflight", {"overall_status": "critical"}, "0 preflight checks are in error and the preflight is critical"),
        ("runbook", {"critical_count": 1}, "1 of 25 runbook checks are critical"),
        ("runbook", {"check_count": 0}, "0 of 0 runbook checks are critical"),
        ("security", {"risk_level": "critical"}, "The security risk is critical (score 40); wanted at most high."),
        ("daily_check", {"latest_status": "critical"}, "ended as critical; wanted success or warning."),
        ("daily_check", {"latest_status": "failed"}, "ended as failed; wanted success or warning."),
        (
            "daily_check",
            {"latest_run_at": "2026-02-26T06:00:00Z"},
            "The newest daily check is 3 days old; wanted at most 36 hours old.",
        ),
        ("daily_check", {"latest_run_at": None}, "No run is recorded for the daily check; wanted one at most 36 hours"),
        ("daily_check", {"latest_run_at": "2026-03-02T06:00:00Z"}, "Latest_run_at lies in the future"),
        ("dr", {"enabled": False}, "DR rehearsals are disabled; wanted an enabled rehearsal whose restore is valid."),
        ("dr", {"latest_restore_valid": False}, "restore valid: false"),
        ("dr", {"latest_restore_valid": None}, "restore valid: nothing"),
        ("dr", {"latest_status": "critical"}, "status: critical"),
        ("dr", {"latest_run_at": "2026-01-01T06:00:00Z"}, "is 59 days old; wanted at most 35 days old."),
        ("deploy_smoke", {"latest_status": "critical"}, "The latest smoke record ended as critical; wanted success or"),
        ("deploy_smoke", {"rollback_ready": False}, "Rollback ready is false; wanted rollback ready true."),
        ("deploy_smoke", {"rollback_reference_match": False}, "Rollback guide match is false"),
        ("deploy_smoke", {"rollback_reference_sha256_match": None}, "Rollback guide checksum match is nothing"),
        ("deploy_smoke", {"runbook_gate_passed": False}, "Runbook gate passed is false"),
        ("deploy_smoke", {"checklist_version_match": False}, "wanted checklist version 2026.03.v1."),
        ("deploy_smoke", {"latest_checklist_version": "2026.02.v1"}, "The checklist version is 2026.02.v1; wanted"),
        ("deploy_smoke", {"ui_main_shell_checked": False}, "The check of the main page is ok; wanted main page ok."),
        ("deploy_smoke", {"ui_main_shell_status": "warning"}, "The check of the main page is warning"),
        ("deploy_smoke", {"latest_run_at": "2026-02-25T06:00:00Z"}, "is 4 days old; wanted at most 72 hours old."),
        ("quality_streak", {"current_streak_weeks": 3}, "streak is 3 weeks; wanted at least 4 weeks."),
    ],
)
def test_each_rule_fails_by_itself(name: str, change: dict[str, Any], message: str) -> None:
    verdict = judge(OPERATIONS, operations_facts(**{name: change}), NOW)
    for result in verdict.rules:
        assert result.passed is (result.id != RULE_OF[name])
    failed = rule(verdict, RULE_OF[name])
    assert failed.status == ("fail" if failed.required else "warning")
    assert message in failed.message
    assert failed.observed
    assert failed.wanted
    assert failed.expires_at is None
    assert verdict.decision == ("no_go" if failed.required else "go")
    assert verdict.status == ("critical" if failed.required else "warning")
    assert verdict.reasons == ((failed.message,) if failed.required else ())


@pytest.mark.parametrize("name", sorted(RULE_OF))
@pytest.mark.parametrize("how", ["missing", "stale", "future", "broken", "no object"])
def test_facts_that_cannot_be_used_never_pass(name: str, how: str) -> None:
    kind = f"ops.{name}"
    others = [one for one in operations_facts().current if one.kind != kind]
    good = GOOD_OPERATIONS[kind]
    made = {
        "missing": [],
        "stale": [fact(kind, good, age=timedelta(days=36))],
        "future": [fact(kind, good, age=timedelta(minutes=-6))],
        "broken": [fact(kind, dict.fromkeys(good, "true"))],
        "no object": [fact(kind, "true")],
    }[how]
    result = rule(judge(OPERATIONS, Facts((*others, *made)), NOW), RULE_OF[name])
    assert result.passed is False
    words = {"missing": "No ", "stale": " is 36 days old", "future": "in the future"}.get(how, "is broken: ")
    assert words in result.message


def test_unknown_risk_counts_as_high_and_letters_do_not_matter() -> None:
    strict = apply_overrides(OPERATIONS, {"MAX_SECURITY_RISK_LEVEL": "medium"})
    for level, high_passes, medium_passes in (("odd", True, False), (" CRITICAL ", False, False), ("LOW", True, True)):
        facts = operations_facts(security={"risk_level": level})
        assert rule(judge(OPERATIONS, facts, NOW), "security_risk_within_max").passed is high_passes
        assert rule(judge(strict, facts, NOW), "security_risk_within_max").passed is medium_passes


def test_a_disabled_rehearsal_warns_and_fails_where_it_is_required() -> None:
    facts = operations_facts(dr={"enabled": False, "latest_run_at": None, "latest_restore_valid": None})
    verdict = judge(OPERATIONS, facts, NOW)
    assert (verdict.decision, rule(verdict, "dr_restore_valid_recent").status) == ("go", "warning")
    required = apply_overrides(OPERATIONS, {"REQUIRE_DR_RESTORE_VALID": "true"})
    verdict = judge(required, facts, NOW)
    assert (verdict.decision, rule(verdict, "dr_restore_valid_recent").status) == ("no_go", "fail")


def test_the_runbook_gate_of_a_deploy_may_be_switched_off() -> None:
    off = replace(OPERATIONS, parameters={**OPERATIONS.parameters, "require_deploy_runbook_gate": False})
    facts = operations_facts(deploy_smoke={"runbook_gate_passed": False})
    assert rule(judge(off, facts, NOW), "deploy_smoke_binding_recent").passed is True


@pytest.mark.parametrize(
    ("weeks", "begun", "passed", "target"),
    [(1, 0, True, 1), (1, 1, True, 1), (1, 2, False, 2), (3, 3, True, 3), (3, 4, False, 4), (3, 90, False, 4),
     (4, 90, True, 4), (0, 0, False, 1), (3, None, False, 4), (4, None, True, 4)],
)  # fmt: skip
def test_the_streak_needs_no_more_weeks_than_have_begun(
    weeks: int, begun: int | None, target: int, *, passed: bool
) -> None:
    told = {"current_streak_weeks": weeks, "weeks_since_first_success": begun}
    found = rule(judge(OPERATIONS, operations_facts(quality_streak=told), NOW), "weekly_streak_target_met")
    assert (found.passed, found.detail) == (passed, {"current_streak_weeks": weeks, "target_weeks": target})
    # A policy that wants more is not undercut by who says less.
    strict = replace(OPERATIONS, parameters={**OPERATIONS.parameters, "weekly_streak_target_weeks": 8})
    asked = rule(judge(strict, operations_facts(quality_streak=told), NOW), "weekly_streak_target_met")
    assert asked.detail["target_weeks"] == (8 if begun is None else max(1, min(8, begun)))


def test_the_score_decides_at_its_edge() -> None:
    at_edge = operations_facts(daily_check=None, deploy_smoke=None)
    verdict = judge(OPERATIONS, at_edge, NOW)
    assert (verdict.summary.weighted_score_percent, verdict.decision, verdict.status) == (75.0, "go", "warning")
    below = operations_facts(dr=None, daily_check=None)
    verdict = judge(OPERATIONS, below, NOW)
    assert (verdict.summary.weighted_score_percent, verdict.decision, verdict.status) == (70.0, "no_go", "critical")
    assert verdict.reasons == ("The weighted score is 70 percent; wanted at least 75 percent.",)


def test_warnings_may_be_forbidden() -> None:
    strict = apply_overrides(OPERATIONS, {"ALLOW_WARNING": "false"})
    verdict = judge(strict, operations_facts(quality_streak=None), NOW)
    assert verdict.decision == "no_go"
    assert verdict.reasons == ("1 optional rules are not passed; wanted 0, as warnings are not allowed.",)


def test_an_empty_policy_never_gives_go() -> None:
    verdict = judge(replace(OPERATIONS, rules=()), operations_facts(), NOW)
    assert (verdict.decision, verdict.summary.weighted_score_percent) == ("no_go", 100.0)


def test_ages_at_the_edge_and_the_next_change() -> None:
    edge = [fact(kind, data, age=timedelta(hours=36)) for kind, data in GOOD_OPERATIONS.items()]
    verdict = judge(OPERATIONS, Facts(tuple(edge)), NOW)
    assert verdict.decision == "go"
    assert verdict.next_change_at == NOW + timedelta(microseconds=1)
    later = judge(OPERATIONS, Facts(tuple(edge)), verdict.next_change_at)
    assert later.decision == "no_go"
    # Of the daily check the run itself counts, not the younger fact.
    fresh = judge(OPERATIONS, operations_facts(daily_check={"latest_run_at": "2026-02-28T01:00:00Z"}), NOW)
    assert fresh.next_change_at == NOW + timedelta(hours=1, microseconds=1)


def test_the_newest_fact_counts_and_other_versions_do_not() -> None:
    bad = {**GOOD_OPERATIONS["ops.preflight"], "error_count": 1}
    others = [one for one in operations_facts().current if one.kind != "ops.preflight"]
    old, new = (
        fact("ops.preflight", bad, age=timedelta(hours=2)),
        fact("ops.preflight", GOOD_OPERATIONS["ops.preflight"]),
    )
    verdict = judge(OPERATIONS, Facts((*others, old, new)), NOW)
    assert verdict.decision == "go"
    assert rule(verdict, "preflight_no_error").facts_used == (new.signal_id,)
    foreign = fact("ops.preflight", GOOD_OPERATIONS["ops.preflight"], version="9.9")
    assert judge(OPERATIONS, Facts((*others, foreign)), NOW).decision == "no_go"


def test_times_without_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        judge(OPERATIONS, Facts(), NOW.replace(tzinfo=None))
    naive = [replace(one, time=one.time.replace(tzinfo=None)) for one in operations_facts().current]
    verdict = judge(OPERATIONS, Facts(tuple(naive)), NOW)
    assert verdict.summary.passed_rules == 0
    assert "has a time without a zone" in verdict.rules[0].message


def test_numbers_beyond_the_engine_in_other_keys_do_no_harm() -> None:
    assert judge(OPERATIONS, operations_facts(preflight={"other": 2**80}), NOW).decision == "go"
