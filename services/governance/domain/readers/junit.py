"""JUnit XML as pytest, gotestsum, Jest, Maven Surefire, Gradle, GoogleTest, PHPUnit and many others write it.

There is no one schema. What all share: ``<testsuites>`` or ``<testsuite>`` as root, nested suites, ``<testcase>`` with
``<failure>``, ``<error>`` or ``<skipped>`` inside. The elements are the truth and the attributes of the suites hints:
where they announce less than there is, that is a note; where they announce more, the report is incomplete
(``junit_suites``). A test that failed and then passed, in one report, is flaky (``junit_runs``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from libs.judge.junit_runs import ERROR, FAILED, PASSED, SKIPPED
from libs.judge.report_base import BadReport, ParsedSignal, Remarks
from services.governance.domain.readers.junit_suites import MAX_NESTED_SUITES, Suite, compare
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml
from services.governance.domain.readers.tests_read import Tests, seconds, tests_signal

_SUITES = ("testsuite", "testsuites")
_FLAKY = {"flakyFailure", "flakyError"}  # of Surefire, Gradle and nextest: passed in the end
_RERUN = {"rerunFailure", "rerunError"}  # failed in the end
_OUTCOMES = {"failure", "error", "skipped"} | _FLAKY | _RERUN
# GoogleTest says by attributes that a test did not run; others say there what became of it.
_NOT_RUN = {"notrun", "suppressed", "skipped", "disabled", "ignored"}
_NOT_PASSED = {"failed", "failure", "fail", "error", "errored", "broken", "aborted", "timeout", "timedout"}


def parse_junit(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``test.junit`` signal. ``duration_s`` is in seconds.

    Data: ``total, passed, failed, errors, skipped`` (tests), ``flaky`` (of the passed ones), ``failed_tests,
    flaky_tests, tests, skipped_tests`` (sorted ids; ``tests`` are those that ran), ``tests_packed`` instead of
    ``tests`` for very large reports, ``unnamed_failures`` (how many are not in ``failed_tests``), ``passed_in``
    (classes and suites with a passed test, if no id in ``tests`` begins with them), ``host`` (the hostname of all
    suites) or ``passed_on_packed`` (what passed on which of several hosts), ``summary, notes, incomplete``.
    Raises BadReport.
    """
    source = Source(content, "JUnit")
    reader = _Reader()
    read_xml(source, reader.start, reader.end)
    remarks = Remarks()
    hidden = compare(reader.root or Suite({}), remarks)
    return tests_signal(source, reader.tests, hidden, remarks)


@dataclass(slots=True)
class _Case:
    """A ``<testcase>`` that is being read; ``children`` are the names of the elements in it that say what became."""

    attributes: Mapping[str, str]
    children: list[str] = field(default_factory=list)


class _Reader:
    """Takes the elements one by one; what is finished is counted and let go."""

    def __init__(self) -> None:
        self.tests = Tests("JUnit")
        self.root: Suite | None = None
        self._suites: list[Suite] = []
        self._case: _Case | None = None
        self._depth = 0  # of elements below the innermost suite or test: only its children say something

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self.root is None and name not in _SUITES:
            raise BadReport(f"The root element is <{name[:40]}>; JUnit XML begins with <testsuites> or <testsuite>.")
        if self._depth:
            self._depth += 1
        elif self._case is not None:
            if name in _OUTCOMES:
                self._case.children.append(name)
            self._depth = 1
        elif name in _SUITES:
            self._open(attributes)
        elif name == "testcase":
            self._case = _Case(attributes)
        else:
            if name in ("failure", "error"):
                # A suite that could not even begin (Ant, Surefire of old): there is no test to blame.
                self._finish(_Case({}, [name]))
            self._depth = 1

    def end(self, name: str) -> None:
        if self._depth:
            self._depth -= 1
        elif self._case is not None:
            self._finish(self._case)
            self._case = None
        else:
            suite = self._suites.pop()
            if self._suites:
                self._suites[-1].add(suite)

    def _open(self, attributes: Mapping[str, str]) -> None:
        if len(self._suites) > MAX_NESTED_SUITES:
            raise BadReport(f"Test suites are nested more than {MAX_NESTED_SUITES} deep.")
        suite = Suite(attributes)
        if self.root is None:
            self.root = suite
        self._suites.append(suite)

    def _finish(self, case: _Case) -> None:
        suite = self._suites[-1]
        self.tests.duration_s += seconds(case.attributes.get("time"))
        flaky = any(child in _FLAKY for child in case.children)
        outcome, owner = _outcome(case), _owner(case, suite)
        test_id = self.tests.id_of(owner, case.attributes.get("name", ""))
        repeated = self.tests.add(test_id, outcome, owner=owner, host=suite.hostname, flaky=flaky)
        if outcome == PASSED:
            self.tests.passed_in.update(one.name for one in self._suites)
        suite.count(outcome, case.children, repeated=repeated)


def _owner(case: _Case, suite: Suite) -> str:
    return (case.attributes.get("classname") or case.attributes.get("file") or suite.name).strip()


def _outcome(case: _Case) -> int:
    words = {case.attributes.get(name, "").lower() for name in ("status", "result")}
    if "error" in case.children:
        return ERROR
    if "failure" in case.children:
        return FAILED
    if "skipped" in case.children or words & _NOT_RUN:
        return SKIPPED
    if any(child in _RERUN for child in case.children) or words & _NOT_PASSED:
        return FAILED
    return PASSED
