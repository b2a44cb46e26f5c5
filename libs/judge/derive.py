"""Totals and comparisons that are too long for a condition: which tests vanished, which findings are new.

Plain set operations over all parts of a kind; conditions see the small results as ``derived``. The data were checked
with ``check_data`` before, so the keys are there and have their types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from libs.judge.facts import Fact
from libs.judge.history import KEYS as HISTORY_KEYS
from libs.judge.kinds import Kind
from libs.judge.pipelines import RUN_KEYS, STEP_KEYS, of_artifacts, of_deployments, of_pipelines, of_samples
from libs.judge.rollback import KEYS as ROLLBACK_KEYS
from libs.judge.states import ARTIFACTS, DEPLOYMENTS, PIPELINES, SAMPLES
from libs.judge.test_ids import UNNAMED, fingerprint, unpack, vanished
from libs.judge.totals import NAMED, data_of, first_names, incomplete_words, missing_parts_of, shortened
from libs.judge.vulnerabilities import EXPLOITED
from libs.judge.vulnerabilities import KIND as VULNERABILITIES
from libs.judge.vulnerability_totals import KEYS as VULNERABILITY_KEYS
from libs.judge.vulnerability_totals import of_lists, of_scans, of_statements

SEVERE = ("critical", "high")
CRITICAL_ALERT = "critical"
RISK_RANKS = {"low": 1, "medium": 2, "high": 3, "critical": 4}

Derived = dict[str, Any]
_Derivation = Callable[[Sequence[Fact], Sequence[Fact], Mapping[str, Any]], Derived]


def derive(
    kind: str,
    current: Sequence[Fact],
    baseline: Sequence[Fact],
    params: Mapping[str, Any],
    beside: Sequence[Fact] = (),
    beside_before: Sequence[Fact] = (),
) -> Derived:
    """Small values about all facts of one kind, with the keys of ``DERIVED_KEYS[kind]``.

    ``current`` and ``baseline`` hold one valid fact for each part; of an empty baseline nothing vanished,
    and every finding is new. ``beside`` and ``beside_before``: valid facts of the kinds that
    this one reads, too, of now and of the baseline.
    """
    if kind == VULNERABILITIES:
        return of_scans(current, baseline, beside, beside_before)
    derivation = _DERIVATIONS.get(kind)
    return derivation[1](current, baseline, params) if derivation else {}


def derive_own(kind: Kind, current: Sequence[Fact], baseline: Sequence[Fact]) -> Derived:
    """The totals of a kind of one's own, with the keys of `own_kinds.derived_keys`.

    Where one part has no such figure nobody knows the total: null, which no comparison passes. ``…_before`` is the
    figure of the last GO, if that had one part alone.
    """
    before = [fact for fact in baseline if isinstance(fact.data, Mapping)]
    totals: Derived = {"part_count": len(current), "missing_parts": missing_parts_of(current, baseline)}
    for key in kind.totals:
        held = [data_of(fact).get(key) for fact in current]
        known = [value for value in held if value is not None]
        whole = len(known) == len(held) > 0
        added = sum(known) if all(isinstance(value, int) for value in known) else math.fsum(known)
        totals |= {
            f"{key}_sum": added if whole else None,
            f"{key}_min": min(known) if whole else None,
            f"{key}_max": max(known) if whole else None,
            f"{key}_before": _number(data_of(before[0]).get(key)) if len(before) == 1 else None,
        }
    return totals


def _number(value: object) -> int | float | None:
    """A figure; what the data of then held need not be one by the schema of now."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def risk_rank(level: str) -> int:
    """low 1, medium 2, high 3, critical 4; any other text counts as high (facility rules, section 1.1)."""
    return RISK_RANKS.get(level.strip().lower(), RISK_RANKS["high"])


def _vanished(current: Sequence[Fact], baseline: Sequence[Fact]) -> list[str]:
    now = {fact.part: data_of(fact) for fact in current}
    gone = sorted(test for fact in baseline for test in vanished(data_of(fact), now.get(fact.part)))
    # Of very large reports only fingerprints are kept, so that some have no name here.
    return [test for test in gone if test != UNNAMED] + [UNNAMED for test in gone if test == UNNAMED]


def _failed_names(current: Sequence[Fact]) -> list[str]:
    broken = sorted({test for fact in current for test in data_of(fact)["failed_tests"]})
    untold = sum(max(0, short["announced"] - short["found"]) for fact in current for short in _failures_short(fact))
    return [*first_names(broken), *([f"{untold} that no element shows"] if untold else [])]


def _failures_short(fact: Fact) -> list[Mapping[str, Any]]:
    return [short for short in data_of(fact).get("incomplete", ()) if short["what"] == "failures"]


def _tests(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    gone = _vanished(current, baseline)
    sums = {
        key: sum(data_of(fact)[key] for fact in current) for key in ("total", "passed", "failed", "errors", "skipped")
    }
    return {
        **sums,
        "not_passed": sums["failed"] + sums["errors"],
        "failed_tests": _failed_names(current),
        "flaky": sum(data_of(fact).get("flaky", 0) for fact in current),
        "flaky_tests": first_names(sorted({test for fact in current for test in data_of(fact).get("flaky_tests", ())})),
        "incomplete": incomplete_words(current),
        "vanished_count": len(gone),
        "vanished": first_names(gone),
        "empty_parts": [fact.part for fact in current if data_of(fact)["passed"] == 0],
        "missing_parts": missing_parts_of(current, baseline),
    }


def _coverage(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    lowest = min(current, key=lambda fact: (data_of(fact)["line_rate_percent"], fact.part), default=None)
    return {
        "lowest_percent": data_of(lowest)["line_rate_percent"] if lowest else 0.0,
        "lowest_part": lowest.part if lowest else "",
        "lines_valid": sum(data_of(fact)["lines_valid"] for fact in current),
        "lines_covered": sum(data_of(fact)["lines_covered"] for fact in current),
        "incomplete": incomplete_words(current),
        "empty_parts": [fact.part for fact in current if data_of(fact)["lines_valid"] == 0],
        "missing_parts": missing_parts_of(current, baseline),
    }


def _severe(
    facts: Sequence[Fact], *, packed: bool, severities: Sequence[str] = SEVERE
) -> dict[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for fact in facts:
        if packed:
            found |= {(fact.part, one): {} for one in unpack(data_of(fact).get("severe_packed") or "")}
        for finding in data_of(fact)["findings"]:
            if finding["severity"] in severities:
                key = fingerprint(finding["fingerprint"]) if packed else finding["fingerprint"]
                found[fact.part, key] = finding
    return found


def _finding_name(finding: Mapping[str, Any]) -> str:
    if not finding:
        return "one that is not listed"
    rule, path = shortened(finding["rule_id"] or "unnamed rule"), shortened(finding.get("path") or "unknown place")
    return f"{rule} in {path}:{finding.get('line') or '?'}"


def _listed_first(finding: Mapping[str, Any]) -> tuple[bool, str]:
    return not finding, _finding_name(finding)


def _findings(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    # Listed findings are compared by their fingerprints' fingerprints only where a scan has too many to list them.
    packed = any(data_of(fact).get("severe_packed") for fact in (*current, *baseline))
    severe = _severe(current, packed=packed)
    # Without a baseline all are new: nobody has accepted them yet.
    # A finding that grew from medium to high is new, too: only high ones of the baseline are known.
    known = _severe(baseline, packed=packed)
    new = [severe[key] for key in sorted(severe.keys() - known.keys())]
    return {
        "severe_count": len(severe),
        "new_severe_count": len(new),
        "new_severe": [_finding_name(finding) for finding in sorted(new, key=_listed_first)[:NAMED]],
        "tools": [fact.part for fact in current],
        "incomplete": incomplete_words(current),
        "failed_tools": [fact.part for fact in current if not data_of(fact)["execution_successful"]],
        "missing_tools": missing_parts_of(current, baseline),
        "suppressed": sum(data_of(fact)["suppressed"] for fact in current),
    }


def _components(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    return {
        **{
            key: sum(data_of(fact)[key] for fact in current)
            for key in ("component_count", "without_version_count", "without_licence_count")
        },
        "licences": sorted({licence for fact in current for licence in data_of(fact)["licences"]}),
        "incomplete": incomplete_words(current),
        "empty_parts": [fact.part for fact in current if data_of(fact)["component_count"] == 0],
        "missing_parts": missing_parts_of(current, baseline),
    }


def _lint(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    packed = any(data_of(fact).get("severe_packed") for fact in (*current, *baseline))
    errors = _severe(current, packed=packed, severities=("error",))
    known = _severe(baseline, packed=packed, severities=("error",))
    new = [errors[key] for key in sorted(errors.keys() - known.keys())]
    return {
        **{key: sum(data_of(fact)[key] for fact in current) for key in ("error_count", "warning_count", "info_count")},
        "new_error_count": len(new),
        "new_errors": [_finding_name(finding) for finding in sorted(new, key=_listed_first)[:NAMED]],
        "incomplete": incomplete_words(current),
        "missing_parts": missing_parts_of(current, baseline),
    }


def _load(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    times = [data_of(fact)["p95_ms"] for fact in current]
    shares = [data_of(fact)["failed_request_percent"] for fact in current]
    failed = sorted({name for fact in current for name in data_of(fact)["failed_thresholds"]})
    return {
        **{
            key: sum(data_of(fact)[key] for fact in current)
            for key in ("threshold_count", "failed_threshold_count", "check_failed_count", "request_count")
        },
        "failed_thresholds": first_names(failed),
        # One report without the figure, and nobody knows the worst: null, which no comparison passes.
        "slowest_p95_ms": None if None in times else max(times, default=None),
        "failed_request_percent": None if None in shares else max(shares, default=None),
        "incomplete": incomplete_words(current),
        "empty_parts": [fact.part for fact in current if data_of(fact)["iteration_count"] == 0],
        "missing_parts": missing_parts_of(current, baseline),
    }


def _alerts(current: Sequence[Fact], _baseline: Sequence[Fact], _: Mapping[str, Any]) -> Derived:
    firing = [
        alert["name"]
        for fact in current
        for alert in data_of(fact)["alerts"]
        if alert["status"] == "firing" and alert["severity"].strip().lower() == CRITICAL_ALERT
    ]
    return {
        "critical_count": len(firing),
        "critical_names": first_names(sorted(set(firing))),
        "truncated_count": sum(data_of(fact)["truncated_alerts"] for fact in current),
        "watchdog": any(data_of(fact)["watchdog"] for fact in current),
        "groups": len(current),
    }


def _security(current: Sequence[Fact], _baseline: Sequence[Fact], params: Mapping[str, Any]) -> Derived:
    return {
        "risk_rank": max((risk_rank(data_of(fact)["risk_level"]) for fact in current), default=RISK_RANKS["critical"]),
        "max_risk_rank": risk_rank(str(params.get("max_security_risk_level", "low"))),
    }


def _streak(current: Sequence[Fact], _baseline: Sequence[Fact], params: Mapping[str, Any]) -> Derived:
    """The policy's target, but no more weeks than have begun since the first report (facility rules, section 6.8)."""
    wanted = params.get("weekly_streak_target_weeks")
    if not isinstance(wanted, int):
        return {"target_weeks": None}
    begun = [weeks for fact in current if (weeks := data_of(fact).get("weeks_since_first_success")) is not None]
    return {"target_weeks": max(1, min(wanted, *begun)) if len(begun) == len(current) > 0 else wanted}


_DERIVATIONS: dict[str, tuple[tuple[str, ...], _Derivation]] = {
    "test.junit": (
        (
            *("total", "passed", "failed", "errors", "skipped", "not_passed", "failed_tests"),
            *("flaky", "flaky_tests", "incomplete", "vanished_count", "vanished", "empty_parts", "missing_parts"),
            *("still_failing_count", "still_failing"),  # added by the verdict, which knows the time
        ),
        _tests,
    ),
    "coverage.cobertura": (
        (
            *("lowest_percent", "lowest_part", "lines_valid", "lines_covered", "incomplete"),
            *("empty_parts", "missing_parts"),
        ),
        _coverage,
    ),
    "scan.sarif": (
        (
            *("severe_count", "new_severe_count", "new_severe", "tools", "incomplete", "failed_tools"),
            *("missing_tools", "suppressed"),
        ),
        _findings,
    ),
    "vex.statements": (("statement_count", "not_affected_count", "missing_parts"), of_statements),
    EXPLOITED: (("listed_count", "missing_parts"), of_lists),
    "sbom.components": (
        (
            *("component_count", "without_version_count", "without_licence_count", "licences", "incomplete"),
            *("empty_parts", "missing_parts"),
        ),
        _components,
    ),
    "lint.findings": (
        (
            *("error_count", "warning_count", "info_count", "new_error_count", "new_errors", "incomplete"),
            "missing_parts",
        ),
        _lint,
    ),
    "perf.k6": (
        (
            *("threshold_count", "failed_threshold_count", "check_failed_count", "request_count"),
            *("failed_thresholds", "slowest_p95_ms", "failed_request_percent", "incomplete", "empty_parts"),
            "missing_parts",
        ),
        _load,
    ),
    "alert.alertmanager": (
        ("critical_count", "critical_names", "truncated_count", "watchdog", "groups"),
        _alerts,
    ),
    PIPELINES: ((*RUN_KEYS, "missing_parts"), of_pipelines),
    DEPLOYMENTS: (RUN_KEYS, of_deployments),
    ARTIFACTS: (STEP_KEYS, of_artifacts),
    SAMPLES: (("values",), of_samples),
    "ops.security": (("risk_rank", "max_risk_rank"), _security),
    "ops.quality_streak": (("target_weeks",), _streak),
}
DERIVED_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{kind: entry[0] for kind, entry in _DERIVATIONS.items()},
        VULNERABILITIES: VULNERABILITY_KEYS,
        "rollback.readiness": ROLLBACK_KEYS,
        "gate.history": HISTORY_KEYS,
    }
)
COMPARED_KINDS = frozenset(
    (
        *("test.junit", "coverage.cobertura", "scan.sarif", VULNERABILITIES, "vex.statements", EXPLOITED),
        *("sbom.components", "lint.findings", "perf.k6", PIPELINES),
    )
)
