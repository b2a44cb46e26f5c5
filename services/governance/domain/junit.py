"""JUnit XML as pytest, gotestsum, Jest, Maven Surefire and GoogleTest write it.

There is no one schema. What all share: ``<testsuites>`` or ``<testsuite>`` as root, nested suites, ``<testcase>`` with
``<failure>``, ``<error>`` or ``<skipped>`` inside. Everything is counted from the ``<testcase>`` elements; the
attributes of the suites are only compared with them, to notice a report that was cut off or mended by hand.
Surefire (https://maven.apache.org/surefire) adds ``<rerunFailure>`` and ``<flakyFailure>`` and counts the reruns
in its attributes, and pytest counts a test whose teardown breaks twice, so attributes may exceed by that much.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.governance.domain.report_base import (
    DEFAULT_PART,
    BadReport,
    ParsedSignal,
    child_elements,
    clean_text,
    local_name,
    read_xml,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_TESTS = 50_000
MAX_FAILED_LISTED = 200
MAX_NESTED_SUITES = 16

_RERUNS = {"rerunFailure", "rerunError", "flakyFailure", "flakyError"}
# Worst last: a test id that stands in a report twice counts as its worst run.
_RANK = {"skipped": 0, "passed": 1, "failed": 2, "error": 3}
_WHOLE = re.compile(r"\s*\d{1,15}\s*")


@dataclass(slots=True)
class _Tally:
    """Counts of elements. ``reruns`` is how much more a tool's own attributes may say."""

    tests: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    failure_elements: int = 0
    error_elements: int = 0
    reruns: int = 0

    def add(self, other: _Tally) -> None:
        self.tests += other.tests
        self.failed += other.failed
        self.errors += other.errors
        self.skipped += other.skipped
        self.failure_elements += other.failure_elements
        self.error_elements += other.error_elements
        self.reruns += other.reruns


@dataclass(slots=True)
class _Reading:
    outcomes: dict[str, str] = field(default_factory=dict)
    cases: int = 0
    duration_s: float = 0.0


def parse_junit(content: bytes) -> list[ParsedSignal]:
    """One ``test.junit`` signal. ``duration_s`` is in seconds.

    Data: ``total, passed, failed, errors, skipped`` (testcase elements), ``failed_tests`` (at most 200 ids),
    ``tests`` (sorted ids of the tests that ran), ``skipped_tests`` (sorted ids of those that only were skipped).
    Raises BadReport.
    """
    root = read_xml(content, "JUnit")
    name = local_name(root.tag)
    if name not in ("testsuites", "testsuite"):
        raise BadReport(f"The root element is <{name[:40]}>; JUnit XML begins with <testsuites> or <testsuite>.")
    reading = _Reading()
    tally = _read_suite(root, reading, depth=0)
    broken = sorted(test for test, outcome in reading.outcomes.items() if _RANK[outcome] > 1)
    return [
        ParsedSignal(
            "test.junit",
            DEFAULT_PART,
            {
                "total": tally.tests,
                "passed": tally.tests - tally.failed - tally.errors - tally.skipped,
                "failed": tally.failed,
                "errors": tally.errors,
                "skipped": tally.skipped,
                "duration_s": round(reading.duration_s, 3),
                "failed_tests": broken[:MAX_FAILED_LISTED],
                "tests": sorted(test for test, outcome in reading.outcomes.items() if outcome != "skipped"),
                "skipped_tests": sorted(test for test, outcome in reading.outcomes.items() if outcome == "skipped"),
            },
        )
    ]


def _read_suite(suite: Element, reading: _Reading, depth: int) -> _Tally:
    if depth > MAX_NESTED_SUITES:
        raise BadReport(f"Test suites are nested more than {MAX_NESTED_SUITES} deep.")
    suite_name = suite.get("name", "")
    own = _Tally()
    for case in child_elements(suite, "testcase"):
        own.add(_read_case(case, suite_name, reading))
    whole = _Tally()
    whole.add(own)
    for nested in child_elements(suite, "testsuite", "testsuites"):
        whole.add(_read_suite(nested, reading, depth + 1))
    _compare(suite, own, whole)
    return whole


def _read_case(case: Element, suite_name: str, reading: _Reading) -> _Tally:
    reading.cases += 1
    if reading.cases > MAX_TESTS:
        raise BadReport(f"The JUnit report has more than {MAX_TESTS} tests: split it into parts.")
    name = case.get("name", "").strip()
    if not name:
        raise BadReport(f"Test number {reading.cases} (suite {suite_name[:80]!r}) has no name.")
    owner = (case.get("classname") or case.get("file") or suite_name).strip()
    test_id = clean_text(f"{owner}::{name}" if owner else name)
    reading.duration_s += _seconds(case.get("time"))
    children = [local_name(child.tag) for child in case]
    tally = _Tally(
        tests=1,
        failure_elements=children.count("failure"),
        error_elements=children.count("error"),
        reruns=sum(child in _RERUNS for child in children),
    )
    if tally.error_elements:
        outcome = "error"
        tally.errors = 1
    elif tally.failure_elements:
        outcome = "failed"
        tally.failed = 1
    elif "skipped" in children or _did_not_run(case):
        outcome = "skipped"
        tally.skipped = 1
    else:
        outcome = "passed"
    earlier = reading.outcomes.get(test_id)
    if earlier is None or _RANK[outcome] > _RANK[earlier]:
        reading.outcomes[test_id] = outcome
    return tally


def _did_not_run(case: Element) -> bool:
    """GoogleTest says so by attributes (status="notrun", result="suppressed"), others by status="skipped"."""
    words = {case.get("status", "").lower(), case.get("result", "").lower()}
    return bool(words & {"notrun", "suppressed", "skipped", "disabled", "ignored"})


def _seconds(text: str | None) -> float:
    try:
        value = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value >= 0 else 0.0


def _compare(suite: Element, own: _Tally, whole: _Tally) -> None:
    """Raise BadReport where a suite's attributes can't be what its elements say."""
    label = suite.get("name", "")[:80]
    # A report with errors fails anyway, so there the counts of tests need not fit to the last one.
    allowed = {
        "tests": (own.tests, whole.tests - whole.error_elements, whole.tests + whole.reruns + whole.error_elements),
        "failures": (own.failed, whole.failed, whole.failure_elements + whole.reruns),
        "errors": (own.errors, whole.errors, whole.error_elements + whole.reruns),
    }
    counted = {"tests": whole.tests, "failures": whole.failed, "errors": whole.errors}
    for attribute, (own_count, low, high) in allowed.items():
        text = suite.get(attribute)
        if text is None:
            continue
        if not text.isascii() or _WHOLE.fullmatch(text) is None:
            raise BadReport(f"Suite {label!r}: attribute {attribute}={text[:40]!r} is not a whole number.")
        said = int(text)
        if said != own_count and not low <= said <= high:
            raise BadReport(
                f"Suite {label!r} says {attribute}={said}, but its elements give {counted[attribute]}: "
                "the report is incomplete, run the tests again and send the whole file."
            )
