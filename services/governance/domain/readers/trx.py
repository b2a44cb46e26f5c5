"""TRX, as ``dotnet test --logger trx``, MSTest and vstest.console write it.

Results stand before the definitions that name their classes, so they wait for these. A result with inner results
(data rows) only sums them up. An outcome that is missing or unknown did not pass: by the schema it is Error. The
counters are hints; a run that was aborted, or that failed though no test did (the test host crashed), is incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from libs.judge.junit_runs import ERROR, FAILED, PASSED, SKIPPED
from libs.judge.report_base import BadReport, ParsedSignal, Remarks, clean_text, whole_number
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml
from services.governance.domain.readers.tests_read import MAX_TESTS, WHOLE, Tests, tests_signal

_OUTCOMES = {
    "passed": PASSED,
    "passedbutrunaborted": PASSED,
    "warning": PASSED,
    "completed": PASSED,
    "failed": FAILED,
    "timeout": FAILED,
    "aborted": FAILED,
    "notexecuted": SKIPPED,
    "inconclusive": SKIPPED,
}
_BROKEN_RUNS = ("aborted", "error", "timeout", "disconnected", "inprogress", "pending", "notrunnable")


@dataclass(frozen=True, slots=True)
class _Result:
    test: str  # the id of its definition
    name: str
    outcome: int
    duration_s: float


def parse_trx(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``test.junit`` signal, with the keys that `junit.parse_junit` says. Raises BadReport."""
    source = Source(content, "TRX")
    run = _Run()
    read_xml(source, run.start, run.end)
    tests = Tests("TRX")
    for result in run.results:
        owner = run.classes.get(result.test, "")
        name = result.name.removeprefix(f"{owner}.") if owner else result.name
        tests.duration_s += result.duration_s
        tests.add(tests.id_of(owner, name, once=True), result.outcome, owner=owner)
    remarks = Remarks()
    hidden = _compare(run, tests, remarks)
    return tests_signal(source, tests, hidden, remarks)


class _Run:
    """Takes the elements one by one."""

    def __init__(self) -> None:
        self.results: list[_Result] = []
        self.classes: dict[str, str] = {}
        self.outcome = ""
        self.counters: Mapping[str, str] = {}
        self._path: list[str] = []
        self._open: list[tuple[_Result, bool]] = []  # results that are being read, and whether they hold others
        self._definition = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._path and name != "TestRun":
            raise BadReport(f"The root element is <{name[:40]}>; TRX begins with <TestRun>.")
        self._path.append(name)
        if name.endswith("TestResult") or name in ("TestResultAggregation", "GenericTestResult"):
            self._result(attributes)
        elif name == "UnitTest" or (len(self._path) == 3 and self._path[1] == "TestDefinitions"):
            self._definition = attributes.get("id", "")
        elif name == "TestMethod" and self._definition:
            # Of old the class's name had its assembly behind it.
            self.classes[self._definition] = clean_text(attributes.get("className", "").partition(",")[0].strip())
        elif name == "ResultSummary":
            self.outcome = attributes.get("outcome", "").lower()
        elif name == "Counters":
            self.counters = dict(attributes)

    def end(self, name: str) -> None:
        self._path.pop()
        if name.endswith("TestResult") or name in ("TestResultAggregation", "GenericTestResult"):
            result, sums_up = self._open.pop()
            if not sums_up:
                self.results.append(result)

    def _result(self, attributes: Mapping[str, str]) -> None:
        if len(self.results) >= MAX_TESTS:
            raise BadReport(f"The TRX report has more than {MAX_TESTS} tests: split it into parts.")
        if self._open:
            self._open[-1] = (self._open[-1][0], True)
        outcome = _OUTCOMES.get(attributes.get("outcome", "error").strip().lower(), ERROR)
        test = attributes.get("testId", "") or (self._open[-1][0].test if self._open else "")
        result = _Result(test, attributes.get("testName", ""), outcome, _clock_s(attributes.get("duration", "")))
        self._open.append((result, False))


def _clock_s(text: str) -> float:
    """``00:01:02.5000000`` in seconds, 0 if it is nothing like it."""
    seconds = 0.0
    for piece in text.split(":"):
        try:
            seconds = seconds * 60 + float(piece)
        except ValueError:
            return 0.0
    return seconds if 0 <= seconds < 10**9 else 0.0


def _compare(run: _Run, tests: Tests, remarks: Remarks) -> int:
    """Compare with what the run says of itself; gives the number of failures that no result shows."""
    total = whole_number(run.counters.get("total"))
    found = tests.runs.total
    if total is not None and total > found:
        remarks.short("tests", total, found)
    elif total is not None and total < found and found - total > 0:
        remarks.note(f"The counters announce {total} tests and {found} are there: data rows are counted one by one.")
    failing = tests.runs.failed + tests.runs.errors
    told = sum(whole_number(run.counters.get(key)) or 0 for key in ("failed", "error", "timeout", "aborted"))
    hidden = max(0, told - failing)
    if hidden:
        remarks.short("failures", told, failing)
    if run.outcome in _BROKEN_RUNS or (run.outcome == "failed" and not failing + hidden):
        remarks.short(WHOLE, 1, 0)
        remarks.note(f"The run's outcome is {run.outcome}: it broke off, or something beside the tests failed.")
    return hidden
