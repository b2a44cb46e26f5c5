"""``go test -json``: one JSON object a line, as test2json and gotestsum write them.

Tests and subtests are ``package::TestName/sub``. One that began and never ended (a panic, a time-out) has failed. A
package that failed though none of its tests did (it does not build, TestMain) is a failure without a name. Lines that
are no JSON are what the compiler said; they are passed over. A package that never ended makes the report incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from libs.judge.junit_runs import ERROR, FAILED, PASSED, SKIPPED
from libs.judge.report_base import BadReport, ParsedSignal, Remarks, counted
from services.governance.domain.readers.report_lines import read_lines
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.tests_read import Tests, seconds, tests_signal

_OUTCOMES = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}


@dataclass(slots=True)
class _Package:
    """A package whose tests run."""

    running: set[str] = field(default_factory=set)
    failed: int = 0


def parse_gotest(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``test.junit`` signal, with the keys that `junit.parse_junit` says. Raises BadReport."""
    source = Source(content, "go test -json")
    run = _Run()
    for line in read_lines(source):
        run.take(line.strip())
    if not run.events:
        raise BadReport('No line of the go test report is one of its events, such as {"Action":"run","Package":"a"}.')
    remarks = Remarks()
    run.finish(remarks)
    return tests_signal(source, run.tests, 0, remarks)


class _Run:
    """Takes the lines one by one."""

    def __init__(self) -> None:
        self.tests = Tests("go test -json")
        self.events = 0
        self._others = 0
        self._ended = 0
        self._open: dict[str, _Package] = {}

    def take(self, line: str) -> None:
        if not line:
            return
        event = _event(line)
        if event is None:
            self._others += 1
            return
        self.events += 1
        action, package, test = event["Action"], event.get("Package"), event.get("Test")
        if not isinstance(package, str) or action.startswith("build-"):
            return
        if not isinstance(test, str) or not test:
            self._of_package(package, action, event)
            return
        known = self._open.setdefault(package, _Package())
        if action == "run":
            known.running.add(test)
        elif action in _OUTCOMES:
            known.running.discard(test)
            known.failed += action == "fail"
            self.tests.add(self.tests.id_of(package, test), _OUTCOMES[action], owner=package)

    def _of_package(self, package: str, action: str, event: Mapping[str, Any]) -> None:
        if action not in _OUTCOMES:
            self._open.setdefault(package, _Package())
            return
        self._ended += 1
        known = self._open.pop(package, _Package())
        elapsed = event.get("Elapsed")
        self.tests.duration_s += seconds(str(elapsed)) if isinstance(elapsed, int | float) else 0.0
        self._unfinished(package, known)
        if action == "fail" and not known.failed and not known.running:
            self.tests.add(self.tests.id_of(package, ""), ERROR)

    def _unfinished(self, package: str, known: _Package) -> None:
        for test in sorted(known.running):
            self.tests.add(self.tests.id_of(package, test), ERROR)

    def finish(self, remarks: Remarks) -> None:
        """What never ended is told."""
        for package, known in self._open.items():
            self._unfinished(package, known)
        if self._open:
            remarks.short("packages", self._ended + len(self._open), self._ended)
        if self._others:
            remarks.note(
                f"{counted(self._others, 'line')} of the report {'is' if self._others == 1 else 'are'} no event."
            )


def _event(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("Action"), str) else None
