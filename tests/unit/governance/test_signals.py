"""The shapes of facts."""

from __future__ import annotations

from typing import Any

import pytest

from libs.judge.checks import parse_time
from libs.judge.kinds import KINDS, check_data
from tests.unit.governance.samples import (
    GOOD_INTEGRITY,
    GOOD_OPERATIONS,
    GOOD_SLOS,
    coverage_data,
    finding,
    junit_data,
    scan_data,
    watchdog,
)

GOOD: dict[str, Any] = {
    **GOOD_OPERATIONS,
    "ops.slo": GOOD_SLOS,
    "ops.integrity": dict(GOOD_INTEGRITY),
    "audit.witnessed": {
        **dict.fromkeys(("witness_count", "cosigned_count", "size"), 2),
        "forked": False,
        "witnessed_at": "2026-03-01T06:00:00Z",
    },
    "test.junit": junit_data("a", failed=("b",), skipped=("c",)),
    "coverage.cobertura": coverage_data(2, 3),
    "scan.sarif": scan_data(finding("f")),
    "scan.vulnerabilities": {
        "tool": "Trivy",
        "findings": [{"fingerprint": "f", "id": "CVE-2026-1", "package": "pkg:npm/a", "severity": "high"}],
        "suppressed": 0,
        "execution_successful": True,
    },
    "vex.statements": {"statements": []},
    "vuln.exploited": {"source": "CISA KEV", "released_at": None, "ids": ["CVE-2026-1"]},
    "sbom.components": {
        "component_count": 1,
        "without_version_count": 0,
        "without_licence_count": 0,
        "licences": ["MIT"],
    },
    "lint.findings": {
        **dict.fromkeys(("error_count", "warning_count", "info_count", "files"), 1),
        "findings": [{"fingerprint": "f", "rule_id": "R1", "severity": "error"}],
    },
    "perf.k6": {
        **dict.fromkeys(("threshold_count", "failed_threshold_count", "iteration_count", "request_count"), 1),
        "check_failed_count": 0,
        "failed_thresholds": ["http_req_duration: p(95)<500"],
        "failed_request_percent": 0.5,
        **dict.fromkeys(("avg_ms", "med_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"), 12.5),
    },
    "alert.alertmanager": watchdog().data,
    "ci.pipeline": {"name": "ci.yml", "status": "succeeded", "event": "push", "ref": "main", "sha": "5f2b"},
    "metric.sample": {"name": "burn-rate", "value": 1.5, "unit": ""},
    "artifact.step": {"step": "signed", "artifact": "pkg:oci/shop", "digest": "sha256:5f2b"},
    "rollback.readiness": {
        "previous_version": "1.3",
        "restored_at": "2026-03-01T06:00:00Z",
        "smoke_passed": True,
        "rehearsal_id": "R-7",
    },
    "deploy.status": {"environment": "staging", "status": "succeeded", "ref": "main", "sha": "5f2b"},
}


def test_good_data_of_every_kind_and_more_keys_do_no_harm() -> None:
    assert GOOD.keys() == {kind.name for kind in KINDS.values() if not kind.is_made}
    for kind, data in GOOD.items():
        assert check_data(kind, data) == []
        assert check_data(kind, {**data, "max_age_hours": 36, "more": {"x": [1]}}) == []


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_every_key_is_needed_and_typed(kind: str) -> None:
    for key in KINDS[kind].keys:
        without = {name: value for name, value in GOOD[kind].items() if name != key}
        assert check_data(kind, without) == [f"{key} is missing"]
        assert check_data(kind, {**GOOD[kind], key: object()}) != []


@pytest.mark.parametrize(
    ("kind", "key", "value", "words"),
    [
        ("ops.preflight", "error_count", -1, "whole number"),
        ("ops.preflight", "error_count", True, "whole number"),
        ("ops.preflight", "error_count", "0", "whole number"),
        ("ops.preflight", "error_count", 0.0, "whole number"),
        ("ops.preflight", "error_count", 2**70, "whole number"),
        ("ops.preflight", "overall_status", "fine", "one of ok, warning, critical"),
        ("ops.runbook", "critical_count", 26, "must not be more than check_count"),
        ("ops.security", "risk_score", float("nan"), "0 to 100"),
        ("ops.security", "risk_score", True, "0 to 100"),
        ("ops.security", "risk_level", " ", "text of 1 to 500"),
        ("ops.security", "risk_level", "a\x00", "text of 1 to 500"),
        ("ops.dr", "enabled", "false", "true or false"),
        ("ops.dr", "enabled", 1, "true or false"),
        ("ops.dr", "latest_restore_valid", "true", "true or false"),
        ("ops.daily_check", "latest_run_at", "2026-03-01T06:00:00", "RFC 3339"),
        ("ops.daily_check", "latest_run_at", "yesterday", "RFC 3339"),
        ("ops.daily_check", "latest_run_at", 1_700_000_000, "RFC 3339"),
        ("ops.daily_check", "latest_status", "dunno", "must be one of"),
        ("test.junit", "total", 9, "must be total"),
        ("test.junit", "tests", [], "must hold the ids"),
        ("test.junit", "tests", ["a", "b", "c"], "must not hold more ids"),
        ("test.junit", "tests", ["a", 7], "[1] must be text"),
        ("test.junit", "tests", ["a"] * 50_001, "at most 50000"),
        ("test.junit", "tests", "ab", "must be a list"),
        ("coverage.cobertura", "lines_covered", 4, "must not be more than lines_valid"),
        ("coverage.cobertura", "line_rate_percent", 90, "100 * lines_covered / lines_valid"),
        ("scan.sarif", "findings", [{"fingerprint": "x"}], "[0] has no rule_id"),
        ("scan.sarif", "findings", [3], "[0] must be an object"),
        ("scan.sarif", "findings", [{**finding("x"), "severity": "High"}], "severity must be one of"),
        ("scan.sarif", "findings", [{**finding("x"), "rule_id": 3}], "rule_id must be text"),
        ("scan.sarif", "findings", [{**finding("x"), "rule_id": "r" * 501}], "[0] rule_id must be text of at most 500"),
        (
            "scan.sarif",
            "findings",
            [{**finding("x"), "fingerprint": "f" * 501}],
            "fingerprint must be text of 1 to 500",
        ),
        ("scan.sarif", "findings", [{**finding("x"), "path": "p" * 501}], "[0] path must be text of at most 500"),
        ("scan.sarif", "findings", [{**finding("x"), "path": ["a.py"]}], "[0] path must be text"),
        ("scan.sarif", "findings", [{**finding("x"), "line": "7" * 501}], "[0] line must be a whole number"),
        ("scan.sarif", "tool", "t" * 501, "tool must be text of 1 to 500"),
        ("test.junit", "tests", ["a", "t" * 501], "[1] must be text of 1 to 500"),
        ("test.junit", "failed_tests", ["t" * 501], "[0] must be text of 1 to 500"),
    ],
)
def test_wrong_values_are_named(kind: str, key: str, value: object, words: str) -> None:
    problems = check_data(kind, {**GOOD[kind], key: value})
    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_data_must_be_an_object(data: object) -> None:
    assert check_data("ops.dr", data) == ["data of ops.dr must be an object"]


def test_unknown_kinds_are_not_judged() -> None:
    assert check_data("com.example.thing", None) == []
    assert "com.example.thing" not in KINDS


def test_what_never_ran_is_null() -> None:
    assert check_data("ops.daily_check", {"latest_run_at": None, "latest_status": None}) == []


@pytest.mark.parametrize("text", ["2026-03-01T06:00:00Z", "2026-03-01t06:00:00.123z", "2026-03-01T06:00:00+09:00"])
def test_times_have_a_zone(text: str) -> None:
    time = parse_time(text)
    assert time is not None
    assert time.utcoffset() is not None


@pytest.mark.parametrize("text", ["2026-03-01", "2026-13-01T06:00:00Z", "2026-03-01 06:00:00Z", "x" * 50, None])
def test_other_times_are_refused(text: object) -> None:
    assert parse_time(text) is None


def test_a_finding_may_have_no_place_and_no_rule() -> None:
    nowhere = {"fingerprint": "x", "rule_id": "", "severity": "high"}
    assert check_data("scan.sarif", scan_data(nowhere, {**nowhere, "path": None, "line": None}, finding("y"))) == []


@pytest.mark.parametrize("wrong", [{"checked_count": 0}, {"digest_mismatch_count": 1}, {"unread_count": 1}])
def test_evidence_that_nobody_looked_at_is_not_ok(wrong: dict[str, int]) -> None:
    assert check_data("ops.integrity", {**GOOD_INTEGRITY, **wrong}) != []
    assert check_data("ops.integrity", {**GOOD_INTEGRITY, **wrong, "status": "critical"}) == []
