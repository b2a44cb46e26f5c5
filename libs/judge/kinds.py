"""The kinds of facts that gates judge, and what their data must hold.

The keys are those of the facility system's rule details (only what a caller can know; limits come from the policy)
and of the parsed reports. Other keys are kept and not read. A fact whose data has a problem never passes a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from libs.judge.report_base import JSON, MAX_COUNT
from libs.judge.test_ids import PRINT_CHARS

MAX_LIST = 50_000
MAX_TEXT_CHARS = 500
MAX_PACKED_CHARS = 500_000 * PRINT_CHARS
MAX_PROBLEMS = 20
RESULT_WORDS = ("success", "ok", "healthy", "warning", "warn", "degraded", "critical", "failed", "error")

Check = Callable[[object], str | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """``noun``: what a sentence calls such a fact. ``keys``: what the data must hold; ``optional``: what they may hold.

    ``bulk``: long lists that conditions don't see (totals are derived of them).
    ``reads_too``: kinds of the same version that the totals take in where there are any, such as VEX for a scan.
    ``consistent`` looks at keys together and is asked only when each is right by itself.
    """

    name: str
    noun: str
    keys: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)
    bulk: frozenset[str] = frozenset()
    reads_too: tuple[str, ...] = ()
    consistent: Callable[[Mapping[str, object]], list[str]] = lambda _: []


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 time with a zone, else None."""
    if not isinstance(value, str) or len(value) < 20 or len(value) > 40 or value[10] not in "Tt":
        return None
    try:
        time = datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _count(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        return "must be a whole number of at least 0"
    return None


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false (not text, not a number)"


def _string(value: object) -> str | None:
    """Text that may be empty."""
    if not isinstance(value, str):
        return "must be text"
    fits = len(value) <= MAX_TEXT_CHARS and "\x00" not in value
    return None if fits else f"must be text of at most {MAX_TEXT_CHARS} letters, without NUL"


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    fits = value.strip() and _string(value) is None
    return None if fits else f"must be text of 1 to {MAX_TEXT_CHARS} letters"


def _packed(value: object) -> str | None:
    fits = isinstance(value, str) and len(value) <= MAX_PACKED_CHARS and len(value) % PRINT_CHARS == 0
    return None if fits else f"must be fingerprints of {PRINT_CHARS} letters each, at most {MAX_PACKED_CHARS} in all"


def _time(value: object) -> str | None:
    return None if parse_time(value) else 'must be an RFC 3339 time with a zone, such as "2026-03-01T06:00:00Z"'


def _number(low: float, high: float) -> Check:
    def check(value: object) -> str | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if fits and math.isfinite(float(str(value))) else f"must be a number of {low:g} to {high:g}"

    return check


def _one_of(*words: str) -> Check:
    return lambda value: None if isinstance(value, str) and value in words else f"must be one of {', '.join(words)}"


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _list_of(check: Check) -> Check:
    def check_list(value: object) -> str | None:
        if not isinstance(value, list):
            return "must be a list"
        if len(value) > MAX_LIST:
            return f"must be a list of at most {MAX_LIST}"
        for index, item in enumerate(value):
            problem = check(item)
            if problem:
                return f"[{index}] {problem}"
        return None

    return check_list


def _object_of(keys: Mapping[str, Check], optional: Mapping[str, Check] = MappingProxyType({})) -> Check:
    def check(value: object) -> str | None:
        if not isinstance(value, dict):
            return "must be an object"
        for key, inner in keys.items():
            if key not in value:
                return f"has no {key}"
            problem = inner(value[key])
            if problem:
                return f"{key} {problem}"
        for key, inner in optional.items():
            problem = inner(value.get(key))
            if problem:
                return f"{key} {problem}"
        return None

    return check


def _junit_adds_up(data: Mapping[str, object]) -> list[str]:
    counts = {key: data[key] for key in ("total", "passed", "failed", "errors", "skipped")}
    numbers = {key: value for key, value in counts.items() if isinstance(value, int)}
    problems = []
    if numbers["passed"] + numbers["failed"] + numbers["errors"] + numbers["skipped"] != numbers["total"]:
        problems.append("passed + failed + errors + skipped must be total")
    tests, packed, flaky = data["tests"], data.get("tests_packed") or "", data.get("flaky", 0)
    listed = (len(tests) if isinstance(tests, list) else 0) + len(str(packed)) // PRINT_CHARS
    if listed > numbers["total"] - numbers["skipped"]:
        problems.append("tests must not hold more ids than tests ran")
    if not listed and numbers["passed"]:
        problems.append("tests must hold the ids of the tests that ran")
    if isinstance(flaky, int) and flaky > numbers["passed"]:
        problems.append("flaky must not be more than passed")
    return problems


def _coverage_adds_up(data: Mapping[str, object]) -> list[str]:
    valid, covered, percent = data["lines_valid"], data["lines_covered"], data["line_rate_percent"]
    if not isinstance(valid, int) or not isinstance(covered, int) or not isinstance(percent, int | float):
        return []
    if covered > valid:
        return ["lines_covered must not be more than lines_valid"]
    # It may be less: a report's attributes may tell a worse story than its lines.
    if valid and percent > 100 * covered / valid + 0.1:
        return ["line_rate_percent must not be more than 100 * lines_covered / lines_valid"]
    return []


def _runbook_adds_up(data: Mapping[str, object]) -> list[str]:
    critical, checks = data["critical_count"], data["check_count"]
    fits = isinstance(critical, int) and isinstance(checks, int) and critical <= checks
    return [] if fits else ["critical_count must not be more than check_count"]


_OVERALL = _one_of("ok", "warning", "critical")
_LATEST: dict[str, Check] = {"latest_run_at": _or_null(_time), "latest_status": _or_null(_one_of(*RESULT_WORDS))}
_FINDING = _object_of(
    {"fingerprint": _text, "rule_id": _string, "severity": _one_of("critical", "high", "medium", "low", "none")},
    optional={"path": _or_null(_string), "line": _or_null(_count)},
)
_VULNERABILITY = _object_of(
    {
        **dict.fromkeys(("fingerprint", "id", "package"), _text),
        "severity": _one_of("critical", "high", "medium", "low", "none"),
    },
    optional={
        "version": _or_null(_string),
        "aliases": _or_null(_list_of(_text)),
        "score": _or_null(_number(0, 10)),
        "epss": _or_null(_number(0, 1)),
        "exploited": _or_null(_flag),
        "fixed_in": _or_null(_string),
    },
)
_STATEMENT = _object_of(
    {
        "id": _text,
        "status": _one_of("not_affected", "affected", "fixed", "under_investigation"),
        "justification": _string,
        **dict.fromkeys(("aliases", "products", "packages"), _list_of(_text)),
    },
    optional={"time": _or_null(_string)},
)
_LINT = _object_of(
    {"fingerprint": _text, "rule_id": _string, "severity": _one_of("error", "warning", "info")},
    optional={"path": _or_null(_string), "line": _or_null(_count)},
)
_MILLISECONDS = _or_null(_number(0, MAX_COUNT))
_ALERT = _object_of({"name": _text, "status": _one_of("firing", "resolved"), "severity": _text})
# What the reader of a report remarked; signals sent as events need not have it, nor those stored before it came.
_REMARKS: dict[str, Check] = {
    "summary": _string,
    "notes": _list_of(_string),
    "incomplete": _list_of(_object_of({"what": _text, "announced": _count, "found": _count})),
}

_ALL = (
    Kind(
        "test.junit",
        "test report",
        {
            **dict.fromkeys(("total", "passed", "failed", "errors", "skipped"), _count),
            **dict.fromkeys(("failed_tests", "tests", "skipped_tests"), _list_of(_text)),
        },
        optional={
            **dict.fromkeys(("flaky", "unnamed_failures"), _count),
            **dict.fromkeys(("flaky_tests", "passed_in"), _list_of(_text)),
            **dict.fromkeys(("tests_packed", "passed_on_packed"), _packed),
            "host": _string,
            **_REMARKS,
        },
        bulk=frozenset({"failed_tests", "tests", "skipped_tests"}),
        consistent=_junit_adds_up,
    ),
    Kind(
        "coverage.cobertura",
        "coverage report",
        {"line_rate_percent": _number(0, 100), "lines_valid": _count, "lines_covered": _count},
        optional=_REMARKS,
        consistent=_coverage_adds_up,
    ),
    Kind(
        "scan.sarif",
        "scan report",
        {"tool": _text, "findings": _list_of(_FINDING), "suppressed": _count, "execution_successful": _flag},
        optional={"severe_packed": _packed, **_REMARKS},
        bulk=frozenset({"findings"}),
    ),
    Kind(
        "scan.vulnerabilities",
        "vulnerability scan",
        {"tool": _text, "findings": _list_of(_VULNERABILITY), "suppressed": _count, "execution_successful": _flag},
        optional={"severe_packed": _packed, "artifacts": _list_of(_text), **_REMARKS},
        bulk=frozenset({"findings"}),
        reads_too=("vex.statements",),
    ),
    Kind(
        "vex.statements",
        "VEX document",
        {"statements": _list_of(_STATEMENT)},
        optional=_REMARKS,
        bulk=frozenset({"statements"}),
    ),
    Kind(
        "sbom.components",
        "SBOM",
        {
            **dict.fromkeys(("component_count", "without_version_count", "without_licence_count"), _count),
            "licences": _list_of(_text),
        },
        optional=_REMARKS,
        bulk=frozenset({"licences"}),
    ),
    Kind(
        "lint.findings",
        "lint report",
        {
            **dict.fromkeys(("error_count", "warning_count", "info_count", "files"), _count),
            "findings": _list_of(_LINT),
        },
        optional={"severe_packed": _packed, **_REMARKS},
        bulk=frozenset({"findings"}),
    ),
    Kind(
        "perf.k6",
        "load test",
        {
            **dict.fromkeys(("threshold_count", "failed_threshold_count"), _count),
            **dict.fromkeys(("iteration_count", "request_count", "check_failed_count"), _count),
            "failed_thresholds": _list_of(_text),
            "failed_request_percent": _or_null(_number(0, 100)),
            **dict.fromkeys(("avg_ms", "med_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"), _MILLISECONDS),
        },
        optional=_REMARKS,
        bulk=frozenset({"failed_thresholds"}),
    ),
    Kind(
        "alert.alertmanager",
        "alert group",
        {
            "group_key": _text,
            "status": _one_of("firing", "resolved"),
            "alerts": _list_of(_ALERT),
            "truncated_alerts": _count,
            "watchdog": _flag,
        },
        optional=_REMARKS,
        bulk=frozenset({"alerts"}),
    ),
    Kind(
        "ops.preflight",
        "startup preflight",
        {"overall_status": _OVERALL, "error_count": _count, "warning_count": _count},
    ),
    Kind(
        "ops.runbook",
        "runbook snapshot",
        {"overall_status": _OVERALL, "critical_count": _count, "check_count": _count},
        consistent=_runbook_adds_up,
    ),
    Kind("ops.security", "security dashboard", {"risk_level": _text, "risk_score": _number(0, 100)}),
    Kind("ops.daily_check", "daily check", _LATEST),
    Kind("ops.dr", "DR rehearsal", {"enabled": _flag, **_LATEST, "latest_restore_valid": _or_null(_flag)}),
    Kind(
        "ops.deploy_smoke",
        "deploy smoke record",
        {
            **_LATEST,
            **dict.fromkeys(("rollback_ready", "runbook_gate_passed", "rollback_reference_match"), _flag),
            "rollback_reference_sha256_match": _or_null(_flag),
            **dict.fromkeys(("current_checklist_version", "latest_checklist_version"), _or_null(_text)),
            **dict.fromkeys(("checklist_version_match", "ui_main_shell_checked"), _flag),
            "ui_main_shell_status": _or_null(_one_of("ok", "warning", "critical")),
        },
    ),
    Kind("ops.quality_streak", "weekly streak of quality reports", {"current_streak_weeks": _count}),
)
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})


_COMPARED = frozenset({"tests_packed", "severe_packed"})


def known_data(kind: str, data: JSON) -> JSON:
    """The data without optional keys whose values have another shape than is known here.

    What is compared with stays, so that `check_data` finds it broken.
    """
    known = KINDS.get(kind)
    if known is None or not isinstance(data, Mapping):
        return data
    odd = {key for key, check in known.optional.items() if key in data and key not in _COMPARED and check(data[key])}
    return {key: value for key, value in data.items() if key not in odd} if odd else data


def check_data(kind: str, data: object) -> list[str]:
    """What is wrong with the data of a fact of this kind, at most 20 sentences; an empty list means valid.

    A kind that isn't in ``KINDS`` is not judged, so nothing is wrong with it.
    """
    known = KINDS.get(kind)
    if known is None:
        return []
    if not isinstance(data, dict):
        return [f"data of {kind} must be an object"]
    problems = []
    for key, check in known.keys.items():
        problem = check(data[key]) if key in data else "is missing"
        if problem:
            problems.append(f"{key} {problem}")
    for key, check in known.optional.items():
        problem = check(data[key]) if key in data else None
        if problem:
            problems.append(f"{key} {problem}")
    return problems[:MAX_PROBLEMS] or known.consistent(data)
