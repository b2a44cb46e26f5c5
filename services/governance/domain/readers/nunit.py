"""NUnit 3 results (``TestResult.xml`` of nunit3-console, ``--logger nunit``).

Every ``<test-case>`` is a test. A suite that failed though none of its tests did (its teardown, an assembly that could
not be loaded) is a failure without a name. A ``Warning`` has passed, ``Inconclusive`` has not been shown passing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from libs.judge.junit_runs import ERROR, FAILED, PASSED, SKIPPED
from libs.judge.report_base import BadReport, ParsedSignal, Remarks, counted, whole_number
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml
from services.governance.domain.readers.tests_read import WHOLE, Tests, seconds, tests_signal

_RESULTS = {"passed": PASSED, "warning": PASSED, "failed": FAILED, "skipped": SKIPPED, "inconclusive": SKIPPED}


@dataclass(slots=True)
class _Suite:
    name: str
    broken: bool  # it says itself that it failed
    stopped: bool  # somebody stopped it
    failures: int = 0  # in it, those of its suites included


def parse_nunit(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``test.junit`` signal, with the keys that `junit.parse_junit` says. Raises BadReport."""
    source = Source(content, "NUnit")
    run = _Run()
    read_xml(source, run.start, run.end)
    remarks = Remarks()
    runs, told = run.tests.runs, run.told
    total = whole_number(told.get("total")) or whole_number(told.get("testcasecount"))
    if total is not None and total > runs.total:
        remarks.short("tests", total, runs.total)
    failing = runs.failed + runs.errors
    announced = whole_number(told.get("failed")) or 0
    hidden = max(0, announced - failing)
    if hidden:
        remarks.short("failures", announced, failing)
    if run.stopped:
        remarks.short(WHOLE, 1, 0)
        remarks.note("The run was cancelled.")
    if run.warnings:
        remarks.note(f"{counted(run.warnings, 'test')} passed with a warning.")
    return tests_signal(source, run.tests, hidden, remarks)


class _Run:
    """Takes the elements one by one."""

    def __init__(self) -> None:
        self.tests = Tests("NUnit")
        self.told: Mapping[str, str] = {}
        self.warnings = 0
        self.stopped = False
        self._begun = False
        self._suites: list[_Suite] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._begun and name not in ("test-run", "test-suite"):
            old = (
                ". This is NUnit 2's: write it with --result=TestResult.xml;format=nunit3"
                if name == "test-results"
                else ""
            )
            raise BadReport(f"The root element is <{name[:40]}>; NUnit 3 results begin with <test-run>{old}.")
        self._begun = True
        if name in ("test-run", "test-suite"):
            if name == "test-run":
                self.told = dict(attributes)
            broken = attributes.get("result", "").lower().startswith("failed")
            stopped = "cancelled" in (attributes.get("label", "") + attributes.get("result", "")).lower()
            self._suites.append(_Suite(attributes.get("fullname") or attributes.get("name", ""), broken, stopped))
        elif name == "test-case":
            self._case(attributes)

    def end(self, name: str) -> None:
        if name not in ("test-run", "test-suite"):
            return
        suite = self._suites.pop()
        self.stopped |= suite.stopped
        if suite.broken and not suite.failures and not suite.stopped:
            self.tests.add(self.tests.id_of(suite.name, ""), ERROR)
            suite.failures = 1
        if self._suites:
            self._suites[-1].failures += suite.failures

    def _case(self, attributes: Mapping[str, str]) -> None:
        result, _, label = attributes.get("result", "").lower().partition(":")
        label = label or attributes.get("label", "").lower()
        outcome = _RESULTS.get(result, ERROR)
        if outcome == FAILED and label in ("error", "invalid"):
            outcome = ERROR
        self.warnings += result == "warning"
        owner = (attributes.get("classname") or (self._suites[-1].name if self._suites else "")).strip()
        name = attributes.get("name") or attributes.get("fullname", "").removeprefix(f"{owner}.")
        self.tests.duration_s += seconds(attributes.get("duration"))
        self.tests.add(self.tests.id_of(owner, name, once=True), outcome, owner=owner)
        if self._suites:
            self._suites[-1].failures += outcome in (FAILED, ERROR)
