"""JUnit XML as pytest, gotestsum, Jest, Maven Surefire, Gradle, GoogleTest, PHPUnit and many others write it.

There is no one schema. What all share: ``<testsuites>`` or ``<testsuite>`` as root, nested suites, ``<testcase>`` with
``<failure>``, ``<error>`` or ``<skipped>`` inside. The elements are the truth and the attributes of the suites hints:
where they announce less than there is, that is a note; where they announce more, the report is incomplete
(``junit_suites``). A test that failed and then passed, in one report, is flaky (``junit_runs``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from libs.judge.junit_runs import ERROR, FAILED, PASSED, SKIPPED, Runs
from libs.judge.report_base import (
    DEFAULT_PART,
    JSON,
    BadReport,
    ParsedSignal,
    Remarks,
    clean_text,
    counted,
)
from libs.judge.test_ids import (
    MAX_LISTED_BYTES,
    PRINT_CHARS,
    can_list,
    listed_bytes,
    nameless_id,
    owner_of,
    pack,
)
from services.governance.domain.readers.junit_suites import MAX_NESTED_SUITES, Suite, compare
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml

MAX_TESTS = 500_000
MAX_SKIPPED_LISTED = 1_000
MAX_OWNER_CHARS = 400
MAX_OWNERS_LISTED = 10_000
# A signal with its data must fit into one NATS message (8 MiB), or nobody could look at it.
MAX_LISTS_BYTES = 5 * 1024 * 1024 + 512 * 1024  # of what ran and what failed together
MAX_OWNERS_BYTES = 512 * 1024
MAX_FLAKY_BYTES = 256 * 1024
MAX_ON_HOSTS = 200_000
NAMED = 3  # how many ids the summary names
MAX_NAMED_CHARS = 50

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
    if source.mixed:
        remarks.note("Some bytes are not in the encoding that the report declares; they were read as Windows-1252.")
    hidden = compare(reader.root or Suite({}), remarks)
    return [ParsedSignal("test.junit", DEFAULT_PART, _data(reader, hidden, remarks))]


@dataclass(slots=True)
class _Case:
    """A ``<testcase>`` that is being read; ``children`` are the names of the elements in it that say what became."""

    attributes: Mapping[str, str]
    children: list[str] = field(default_factory=list)


class _Reader:
    """Takes the elements one by one; what is finished is counted and let go."""

    def __init__(self) -> None:
        self.runs = Runs()
        self.passed_in: set[str] = set()  # classes, files and suites with a test that passed
        self.root: Suite | None = None
        self.duration_s = 0.0
        self._cases = 0
        self._suites: list[Suite] = []
        self._case: _Case | None = None
        self._nameless: dict[str, int] = {}
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
        self._cases += 1
        if self._cases > MAX_TESTS:
            raise BadReport(f"The JUnit report has more than {MAX_TESTS} tests: split it into parts.")
        suite = self._suites[-1]
        self.duration_s += _seconds(case.attributes.get("time"))
        flaky = any(child in _FLAKY for child in case.children)
        outcome = _outcome(case)
        repeated = self.runs.add(self._id(case, suite), suite.hostname, outcome, flaky=flaky)
        if outcome == PASSED:
            self.passed_in.update(one.name for one in self._suites)
            self.passed_in.add(clean_text(_owner(case, suite), MAX_OWNER_CHARS))
        suite.count(outcome, case.children, repeated=repeated)

    def _id(self, case: _Case, suite: Suite) -> str:
        name = case.attributes.get("name", "").strip()
        owner = _owner(case, suite)
        if name:
            return clean_text(f"{owner}::{name}" if owner else name)
        self._nameless[owner] = self._nameless.get(owner, 0) + 1
        return clean_text(nameless_id(clean_text(owner, MAX_OWNER_CHARS), self._nameless[owner]))


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


def _seconds(text: str | None) -> float:
    try:
        value = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value >= 0 else 0.0


def _data(reader: _Reader, hidden: int, remarks: Remarks) -> dict[str, JSON]:
    """``hidden``: failures that only attributes tell. Each takes a passed test's place, as nobody knows which."""
    runs = reader.runs
    shown = min(hidden, runs.passed)
    total, passed, failed = runs.total + hidden - shown, runs.passed - shown, runs.failed + hidden
    if runs.retried:
        remarks.note(f"{counted(runs.retried, 'failed attempt')} stood before a passed one of the same test.")
    broken, flaky, ran, skipped = runs.lists()
    named = _kept(broken, min(MAX_LISTED_BYTES, MAX_LISTS_BYTES - PRINT_CHARS * len(ran)))
    packed: dict[str, JSON] = {}
    if not can_list(ran, min(MAX_LISTED_BYTES, MAX_LISTS_BYTES - listed_bytes(named))):
        packed = {"tests_packed": pack(ran)}
        remarks.note(f"The ids of {len(ran)} tests are kept as fingerprints, so vanished ones can only be counted.")
    if len(named) < len(broken):
        remarks.note(f"{len(broken)} tests failed, too many for all their ids to be kept.")
    return {
        "total": total,
        "passed": passed,
        "failed": failed,
        "errors": runs.errors,
        "skipped": runs.skipped,
        "flaky": min(len(flaky), passed),
        "duration_s": round(reader.duration_s, 3),
        "failed_tests": named,
        "unnamed_failures": hidden + len(broken) - len(named),
        "flaky_tests": _kept(flaky, MAX_FLAKY_BYTES),
        "tests": [] if packed else ran,
        **packed,
        "skipped_tests": skipped[:MAX_SKIPPED_LISTED],
        "passed_in": _owners_beyond(reader.passed_in, () if packed else ran),
        **_hosts(runs, remarks),
        **remarks.data(_summary(total, passed, failed, runs, flaky, named)),
    }


def _owners_beyond(owners: set[str], test_ids: Sequence[str]) -> list[JSON]:
    """Those of the owners that the ids don't show: suites around classes, and all of them where no ids are kept."""
    beyond = sorted(owners - set(map(owner_of, test_ids)) - {""})
    return list(_kept(beyond[:MAX_OWNERS_LISTED], MAX_OWNERS_BYTES))


def _hosts(runs: Runs, remarks: Remarks) -> dict[str, JSON]:
    """On which host it passed, so that a failure on one is not mended by another."""
    if len(runs.hosts) < 2:
        return {"host": host} if (host := next(iter(runs.hosts), "")) else {}
    passed = runs.passed_on()
    if len(passed) > MAX_ON_HOSTS:
        remarks.note(f"{len(passed)} tests passed on several hosts, too many to mend failures on one: send each alone.")
        passed = []
    return {"passed_on_packed": pack(passed)}


def _kept(test_ids: list[str], max_bytes: int) -> list[str]:
    """As many of the first ones as fit, to a factor of two."""
    while not can_list(test_ids, max_bytes):
        test_ids = test_ids[: len(test_ids) // 2]
    return test_ids


def _summary(total: int, passed: int, failed: int, runs: Runs, flaky: list[str], broken: list[str]) -> str:
    words = [f"{passed} passed"]
    if flaky:
        words[0] += f" of which {len(flaky)} flaky (failed, then passed: {_first(flaky)})"
    words += [f"{failed} failed"] if failed else []
    words += [counted(runs.errors, "error")] if runs.errors else []
    if broken:
        words[-1] += f" ({_first(broken)})"
    words += [f"{runs.skipped} skipped"] if runs.skipped else []
    return f"{counted(total, 'test')}: {', '.join(words)}"


def _first(test_ids: list[str]) -> str:
    names = [clean_text(test_id, MAX_NAMED_CHARS) for test_id in test_ids[:NAMED]]
    return ", ".join([*names, "..."] if len(test_ids) > NAMED else names)
