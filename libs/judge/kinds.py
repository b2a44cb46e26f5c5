"""The kinds of facts that gates judge, and what their data must hold.

The keys are those of the facility system's rule details (only what a caller can know; limits come from the policy)
and of the parsed reports. Other keys are kept and not read. A fact whose data has a problem never passes a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from libs.judge.checks import (
    Check,
    count,
    flag,
    list_of,
    number,
    object_of,
    object_schema,
    one_of,
    or_null,
    packed,
    string,
    text,
    time,
)
from libs.judge.consistency import coverage_adds_up, integrity_adds_up, junit_adds_up, runbook_adds_up, slos_add_up
from libs.judge.report_base import JSON, MAX_COUNT
from libs.judge.states import ARTIFACTS, DEPLOYMENTS, PIPELINES, SAMPLES, STATUSES, STEPS

MAX_PROBLEMS = 20
MAX_NUMBER = 1e308
RESULT_WORDS = ("success", "ok", "healthy", "warning", "warn", "degraded", "critical", "failed", "error")


@dataclass(frozen=True, slots=True)
class Kind:
    """``noun``: what a sentence calls such a fact. ``keys``: what the data must hold; ``optional``: what they may hold.

    ``bulk``: long lists that conditions don't see (totals are derived of them).
    ``reads_too``: kinds of the same version that the totals take in where there are any, such as VEX for a scan.
    ``consistent`` looks at keys together and is asked only when each is right by itself.
    ``is_made``: Headgate makes it itself, and a signal of this kind is not judged.
    ``is_own``: an installation declared it (`own_kinds`), with ``totals`` over these keys.
    """

    name: str
    noun: str
    keys: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)
    bulk: frozenset[str] = frozenset()
    reads_too: tuple[str, ...] = ()
    consistent: Callable[[Mapping[str, object]], list[str]] = lambda _: []
    totals: tuple[str, ...] = ()
    is_own: bool = False
    is_made: bool = False

    @property
    def visible(self) -> tuple[str, ...]:
        """The keys that conditions see: of a kind of one's own also those that may be missing."""
        held = (*self.keys, *self.optional) if self.is_own else tuple(self.keys)
        return tuple(key for key in held if key not in self.bulk)


_OVERALL = one_of("ok", "warning", "critical")
_SLO_STATUS = one_of("page", "spent", "ticket", "no_data", "ok")
_LEFT = or_null(number(-MAX_NUMBER, 100))
_LATEST: dict[str, Check] = {"latest_run_at": or_null(time), "latest_status": or_null(one_of(*RESULT_WORDS))}
_FINDING = object_of(
    {"fingerprint": text, "rule_id": string, "severity": one_of("critical", "high", "medium", "low", "none")},
    optional={"path": or_null(string), "line": or_null(count)},
)
_VULNERABILITY = object_of(
    {
        **dict.fromkeys(("fingerprint", "id", "package"), text),
        "severity": one_of("critical", "high", "medium", "low", "none"),
    },
    optional={
        "version": or_null(string),
        "aliases": or_null(list_of(text)),
        "score": or_null(number(0, 10)),
        "epss": or_null(number(0, 1)),
        "exploited": or_null(flag),
        "fixed_in": or_null(string),
    },
)
_STATEMENT = object_of(
    {
        "id": text,
        "status": one_of("not_affected", "affected", "fixed", "under_investigation"),
        "justification": string,
        **dict.fromkeys(("aliases", "products", "packages"), list_of(text)),
    },
    optional={"time": or_null(string)},
)
_LINT = object_of(
    {"fingerprint": text, "rule_id": string, "severity": one_of("error", "warning", "info")},
    optional={"path": or_null(string), "line": or_null(count)},
)
_MILLISECONDS = or_null(number(0, MAX_COUNT))
_ALERT = object_of({"name": text, "status": one_of("firing", "resolved"), "severity": text})
# What the reader of a report remarked; signals sent as events need not have it, nor those stored before it came.
_REMARKS: dict[str, Check] = {
    "summary": string,
    "notes": list_of(string),
    "incomplete": list_of(object_of({"what": text, "announced": count, "found": count})),
}
_OF_A_RUN: dict[str, Check] = {
    **dict.fromkeys(("system", "said", "run_id", "url"), string),
    "attempt": count,
    **dict.fromkeys(("started_at", "ended_at"), or_null(time)),
    **_REMARKS,
}

_ALL = (
    Kind(
        "test.junit",
        "test report",
        {
            **dict.fromkeys(("total", "passed", "failed", "errors", "skipped"), count),
            **dict.fromkeys(("failed_tests", "tests", "skipped_tests"), list_of(text)),
        },
        optional={
            **dict.fromkeys(("flaky", "unnamed_failures"), count),
            **dict.fromkeys(("flaky_tests", "passed_in"), list_of(text)),
            **dict.fromkeys(("tests_packed", "passed_on_packed"), packed),
            "host": string,
            **_REMARKS,
        },
        bulk=frozenset({"failed_tests", "tests", "skipped_tests"}),
        consistent=junit_adds_up,
    ),
    Kind(
        "coverage.cobertura",
        "coverage report",
        {"line_rate_percent": number(0, 100), "lines_valid": count, "lines_covered": count},
        optional=_REMARKS,
        consistent=coverage_adds_up,
    ),
    Kind(
        "scan.sarif",
        "scan report",
        {"tool": text, "findings": list_of(_FINDING), "suppressed": count, "execution_successful": flag},
        optional={"severe_packed": packed, **_REMARKS},
        bulk=frozenset({"findings"}),
    ),
    Kind(
        "scan.vulnerabilities",
        "vulnerability scan",
        {"tool": text, "findings": list_of(_VULNERABILITY), "suppressed": count, "execution_successful": flag},
        optional={"severe_packed": packed, "artifacts": list_of(text), **_REMARKS},
        bulk=frozenset({"findings"}),
        reads_too=("vex.statements", "vuln.exploited"),
    ),
    Kind(
        "vex.statements",
        "VEX document",
        {"statements": list_of(_STATEMENT)},
        optional=_REMARKS,
        bulk=frozenset({"statements"}),
    ),
    Kind(
        "vuln.exploited",
        "list of exploited vulnerabilities",
        {"source": text, "released_at": or_null(time), "ids": list_of(text)},
        optional=_REMARKS,
        bulk=frozenset({"ids"}),
    ),
    Kind(
        "sbom.components",
        "SBOM",
        {
            **dict.fromkeys(("component_count", "without_version_count", "without_licence_count"), count),
            "licences": list_of(text),
        },
        optional=_REMARKS,
        bulk=frozenset({"licences"}),
    ),
    Kind(
        "lint.findings",
        "lint report",
        {
            **dict.fromkeys(("error_count", "warning_count", "info_count", "files"), count),
            "findings": list_of(_LINT),
        },
        optional={"severe_packed": packed, **_REMARKS},
        bulk=frozenset({"findings"}),
    ),
    Kind(
        "perf.k6",
        "load test",
        {
            **dict.fromkeys(("threshold_count", "failed_threshold_count"), count),
            **dict.fromkeys(("iteration_count", "request_count", "check_failed_count"), count),
            "failed_thresholds": list_of(text),
            "failed_request_percent": or_null(number(0, 100)),
            **dict.fromkeys(("avg_ms", "med_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"), _MILLISECONDS),
        },
        optional=_REMARKS,
        bulk=frozenset({"failed_thresholds"}),
    ),
    Kind(
        "alert.alertmanager",
        "alert group",
        {
            "group_key": text,
            "status": one_of("firing", "resolved"),
            "alerts": list_of(_ALERT),
            "truncated_alerts": count,
            "watchdog": flag,
        },
        optional=_REMARKS,
        bulk=frozenset({"alerts"}),
    ),
    Kind(
        PIPELINES,
        "pipeline run",
        {"name": text, "status": one_of(*STATUSES), **dict.fromkeys(("event", "ref", "sha"), string)},
        optional=_OF_A_RUN,
    ),
    Kind(
        DEPLOYMENTS,
        "deployment",
        {"environment": text, "status": one_of(*STATUSES), **dict.fromkeys(("ref", "sha"), string)},
        optional=_OF_A_RUN,
    ),
    Kind(
        ARTIFACTS,
        "artifact's step",
        {"step": one_of(*STEPS), "artifact": text, "digest": string},
        optional={**dict.fromkeys(("system", "url"), string), **_REMARKS},
    ),
    Kind(
        SAMPLES,
        "measurement",
        {"name": text, "value": number(-MAX_NUMBER, MAX_NUMBER), "unit": string},
        optional={"query": string, "labels": list_of(string), **_REMARKS},
    ),
    Kind(
        "ops.preflight",
        "startup preflight",
        {"overall_status": _OVERALL, "error_count": count, "warning_count": count},
    ),
    Kind(
        "ops.runbook",
        "runbook snapshot",
        {"overall_status": _OVERALL, "critical_count": count, "check_count": count},
        consistent=runbook_adds_up,
    ),
    Kind("ops.security", "security dashboard", {"risk_level": text, "risk_score": number(0, 100)}),
    Kind("ops.daily_check", "daily check", _LATEST),
    Kind(
        "audit.witnessed",
        "witnesses of the audit log",
        {
            **dict.fromkeys(("witness_count", "cosigned_count", "size"), count),
            "forked": flag,
            "witnessed_at": or_null(time),
        },
    ),
    Kind(
        "ops.integrity",
        "integrity of stored evidence",
        {
            "status": _OVERALL,
            **dict.fromkeys(("checked_count", "missing_blob_count", "missing_hash_count"), count),
            **dict.fromkeys(("digest_mismatch_count", "read_error_count", "unread_count"), count),
        },
        consistent=integrity_adds_up,
    ),
    Kind("ops.dr", "DR rehearsal", {"enabled": flag, **_LATEST, "latest_restore_valid": or_null(flag)}),
    Kind(
        "ops.deploy_smoke",
        "deploy smoke record",
        {
            **_LATEST,
            **dict.fromkeys(("rollback_ready", "runbook_gate_passed", "rollback_reference_match"), flag),
            "rollback_reference_sha256_match": or_null(flag),
            **dict.fromkeys(("current_checklist_version", "latest_checklist_version"), or_null(text)),
            **dict.fromkeys(("checklist_version_match", "ui_main_shell_checked"), flag),
            "ui_main_shell_status": or_null(one_of("ok", "warning", "critical")),
        },
    ),
    Kind(
        "rollback.readiness",
        "rollback rehearsal",
        {"previous_version": or_null(text), "restored_at": time, "smoke_passed": flag, "rehearsal_id": text},
        optional={"duration_minutes": or_null(number(0, MAX_COUNT)), "artifact": or_null(text), **_REMARKS},
    ),
    Kind("gate.history", "history of verdicts", {}, is_made=True),
    Kind("gate.stage", "GO of another gate", {}, is_made=True),
    Kind(
        "ops.quality_streak",
        "weekly streak of quality reports",
        {"current_streak_weeks": count},
        optional={"weeks_since_first_success": or_null(count)},
    ),
    Kind(
        "ops.slo",
        "standing of the SLOs",
        {
            "status": _SLO_STATUS,
            **dict.fromkeys(("slo_count", "page_count", "spent_count", "ticket_count", "no_data_count"), count),
            "lowest_budget_left_percent": _LEFT,
            "slos": list_of(object_of({"name": text, "status": _SLO_STATUS, "budget_left_percent": _LEFT})),
        },
        bulk=frozenset({"slos"}),
        consistent=slos_add_up,
    ),
)
# Lists that make findings worse. Read beside a version's facts also where they are told of the subject alone, since one
# list counts for all versions; and one that can't be read fails the rule, since nobody knows what it would name.
MARKING = frozenset({"vuln.exploited"})
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


def reads_too(kind: str) -> tuple[str, ...]:
    """The kinds whose facts the totals of this one take in; none of a kind of one's own."""
    known = KINDS.get(kind)
    return known.reads_too if known else ()


def check_data(kind: str | Kind, data: object) -> list[str]:
    """What is wrong with the data of a fact of this kind, at most 20 sentences; an empty list means valid.

    A name that isn't in ``KINDS`` is not judged, so nothing is wrong with it.
    """
    known = kind if isinstance(kind, Kind) else KINDS.get(kind)
    if known is None:
        return []
    if not isinstance(data, dict):
        return [f"data of {known.name} must be an object"]
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


def schema_of(kind: Kind) -> dict[str, Any]:
    """JSON Schema of the kind's data. It takes all that `check_data` takes, and not what keys must say together."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.name,
        **object_schema(kind.keys, kind.optional),
    }
