"""Facts and reports that the tests share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from libs.judge.facts import Fact, Facts
from libs.judge.policy import load_policies
from libs.judge.verdict import RuleResult, Verdict
from services.governance.domain.readers.reports import parse_report

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICIES_FOLDER = Path(__file__).parents[3] / "services" / "governance" / "policies"
POLICIES = load_policies(POLICIES_FOLDER)
OPERATIONS = POLICIES["operations"]
RELEASE = POLICIES["release"]
RECENT = "2026-03-01T06:00:00Z"

GOOD_SLOS: dict[str, Any] = {
    "status": "ticket",
    **dict.fromkeys(("page_count", "spent_count", "no_data_count"), 0),
    "slo_count": 2,
    "ticket_count": 1,
    "lowest_budget_left_percent": 12.5,
    "slos": [{"name": "answers", "status": "ticket", "budget_left_percent": None}],
}
GOOD_OPERATIONS: Mapping[str, dict[str, Any]] = {
    "ops.preflight": {"overall_status": "ok", "error_count": 0, "warning_count": 1},
    "ops.runbook": {"overall_status": "warning", "critical_count": 0, "check_count": 25},
    "ops.security": {"risk_level": "medium", "risk_score": 40},
    "ops.daily_check": {"latest_run_at": RECENT, "latest_status": "success"},
    "ops.dr": {
        "enabled": True,
        "latest_run_at": RECENT,
        "latest_status": "success",
        "latest_restore_valid": True,
    },
    "ops.deploy_smoke": {
        "latest_run_at": RECENT,
        "latest_status": "success",
        "rollback_ready": True,
        "runbook_gate_passed": True,
        "rollback_reference_match": True,
        "rollback_reference_sha256_match": True,
        "current_checklist_version": "2026.03.v1",
        "latest_checklist_version": "2026.03.v1",
        "checklist_version_match": True,
        "ui_main_shell_checked": True,
        "ui_main_shell_status": "ok",
    },
    "ops.quality_streak": {"current_streak_weeks": 4},
}

GOOD_INTEGRITY: Mapping[str, Any] = {
    "status": "ok",
    "checked_count": 3,
    **dict.fromkeys(("missing_blob_count", "missing_hash_count", "digest_mismatch_count"), 0),
    **dict.fromkeys(("read_error_count", "unread_count"), 0),
}


def junit(*cases: str, attributes: str = "") -> bytes:
    return f'<testsuites><testsuite name="unit" {attributes}>{"".join(cases)}</testsuite></testsuites>'.encode()


def case(name: str, inner: str = "") -> str:
    return f'<testcase classname="t" name="{name}" time="0.5">{inner}</testcase>'


def junit_data(*passed: str, failed: tuple[str, ...] = (), skipped: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "total": len(passed) + len(failed) + len(skipped),
        "passed": len(passed),
        "failed": len(failed),
        "errors": 0,
        "skipped": len(skipped),
        "failed_tests": list(failed),
        "tests": sorted([*passed, *failed]),
        "skipped_tests": list(skipped),
    }


def coverage_data(covered: int, valid: int) -> dict[str, Any]:
    percent = covered * 10_000 // valid / 100 if valid else 0.0
    return {"line_rate_percent": percent, "lines_valid": valid, "lines_covered": covered}


def finding(name: str, severity: str = "high") -> dict[str, Any]:
    return {"fingerprint": name, "rule_id": "R1", "level": "error", "severity": severity, "path": "a.py", "line": 7}


def scan_data(*findings: dict[str, Any], finished: bool = True) -> dict[str, Any]:
    return {"tool": "scanner", "findings": list(findings), "suppressed": 0, "execution_successful": finished}


def sarif(results: list[dict[str, Any]], **run: Any) -> bytes:
    driver = {"name": "Scan It", "rules": run.pop("rules", [])}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results, **run}]}).encode()


def webhook(group: str, *alerts: tuple[str, str, str], **more: Any) -> bytes:
    body = {
        "version": "4",
        "groupKey": group,
        "status": "firing" if any(status == "firing" for _, status, _ in alerts) else "resolved",
        "receiver": "headgate",
        "truncatedAlerts": 0,
        "alerts": [
            {"status": status, "labels": {"alertname": name, "severity": severity}, "fingerprint": "ab"}
            for name, status, severity in alerts
        ],
        **more,
    }
    return json.dumps(body).encode()


def alert_fact(group: str, *alerts: tuple[str, str, str], age: timedelta = timedelta(0), **more: Any) -> Fact:
    signal = parse_report("alertmanager", webhook(group, *alerts, **more))[0]
    return fact(signal.kind, signal.data, part=signal.part, age=age)


def watchdog(age: timedelta = timedelta(minutes=1)) -> Fact:
    return alert_fact("watchdog", ("Watchdog", "firing", "none"), age=age)


_next_id = iter(range(1, 10**9))


def fact(
    kind: str, data: Any, *, part: str = "default", age: timedelta = timedelta(hours=1), version: str = ""
) -> Fact:
    number = next(_next_id)
    return Fact(kind, part, number, "/test", f"event-{number}", NOW - age, data, version)


def operations_facts(**changes: dict[str, Any] | None) -> Facts:
    """Good facts, with those kinds changed (``daily_check={...}``) or left out (None)."""
    current = []
    for kind, data in GOOD_OPERATIONS.items():
        name = kind.removeprefix("ops.")
        change = changes.get(name, {})
        if change is not None:
            current.append(fact(kind, {**data, **change}))
    return Facts(tuple(current))


def good_release(version: str = "1.0") -> list[Fact]:
    return [
        fact("test.junit", junit_data("a", "b"), version=version),
        fact("coverage.cobertura", coverage_data(90, 100), version=version),
        fact("scan.sarif", scan_data(finding("lesser", "medium")), part="bandit", version=version),
        watchdog(),
    ]


def rule(verdict: Verdict, rule_id: str) -> RuleResult:
    return next(result for result in verdict.rules if result.id == rule_id)


def tiny_policy(**changes: str) -> bytes:
    """The text of a policy with one rule; ``changes`` replace whole lines by their key."""
    lines = {
        "name": "name: tiny",
        "title": "title: Tiny",
        "description": "description: One rule",
        "subject_mode": "subject_mode: site",
        "allow_warning": "allow_warning: true",
        "min_weighted_score_percent": "min_weighted_score_percent: 0",
        "parameters": "parameters: {most: 3}",
        "settings": "settings: {MOST: {name: most, target: parameters.most, minimum: 1, maximum: 9}}",
        "rules": "rules:",
        "id": "  - id: one",
        "rule_title": "    title: One",
        "required": "    required: true",
        "weight": "    weight: 1",
        "kind": "    kind: ops.preflight",
        "scope": "    scope: subject",
        "max_age": "    max_age_hours: 1",
        "condition": "    condition: fact.error_count <= params.most",
        "observed": '    observed: "{fact.error_count} errors"',
        "wanted": '    wanted: "at most {params.most}"',
    }
    return "\n".join(line for line in {**lines, **changes}.values() if line).encode()
