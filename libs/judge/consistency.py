"""What the keys of a fact must say together, where each is right by itself: a sentence for each misfit."""

from __future__ import annotations

from collections.abc import Mapping

from libs.judge.test_ids import PRINT_CHARS


def junit_adds_up(data: Mapping[str, object]) -> list[str]:
    """The counts of a test report, and the ids that it lists."""
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


def coverage_adds_up(data: Mapping[str, object]) -> list[str]:
    """A coverage report's lines and its rate."""
    valid, covered, percent = data["lines_valid"], data["lines_covered"], data["line_rate_percent"]
    if not isinstance(valid, int) or not isinstance(covered, int) or not isinstance(percent, int | float):
        return []
    if covered > valid:
        return ["lines_covered must not be more than lines_valid"]
    # It may be less: a report's attributes may tell a worse story than its lines.
    if valid and percent > 100 * covered / valid + 0.1:
        return ["line_rate_percent must not be more than 100 * lines_covered / lines_valid"]
    return []


def runbook_adds_up(data: Mapping[str, object]) -> list[str]:
    """No more checks are critical than there are."""
    critical, checks = data["critical_count"], data["check_count"]
    fits = isinstance(critical, int) and isinstance(checks, int) and critical <= checks
    return [] if fits else ["critical_count must not be more than check_count"]


def slos_add_up(data: Mapping[str, object]) -> list[str]:
    """No count is more than there are SLOs."""
    known = data["slo_count"]
    counts = [data[f"{word}_count"] for word in ("page", "spent", "ticket", "no_data")]
    fits = isinstance(known, int) and all(isinstance(one, int) and one <= known for one in counts)
    return [] if fits else ["no count must be more than slo_count"]


def integrity_adds_up(data: Mapping[str, object]) -> list[str]:
    """What is ok was looked at, and nothing was wrong with it: no data is not a pass."""
    wrong = ("missing_blob_count", "missing_hash_count", "digest_mismatch_count", "read_error_count", "unread_count")
    if data["status"] != "ok" or (data["checked_count"] and not any(data[name] for name in wrong)):
        return []
    return ["status must not be ok where nothing was checked, or something was wrong or could not be asked for"]
