"""xUnit.net v2 results (``-xml`` of its console runner, ``--logger xunit``), also those of v3.

Every ``<test>`` is a test; an ``<error>`` of an assembly (a fixture's clean-up, a crash) is a failure without a name.
The attributes of the assemblies are hints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.junit_runs import ERROR, FAILED, PASSED, SKIPPED
from libs.judge.report_base import BadReport, ParsedSignal, Remarks, whole_number
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml
from services.governance.domain.readers.tests_read import Tests, seconds, tests_signal

_RESULTS = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED, "notrun": SKIPPED}
_ROOTS = ("assemblies", "assembly")


def parse_xunit(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``test.junit`` signal, with the keys that `junit.parse_junit` says. Raises BadReport."""
    source = Source(content, "xUnit.net")
    run = _Run()
    read_xml(source, run.start, lambda _: None)
    remarks = Remarks()
    runs = run.tests.runs
    if run.total > run.seen:
        remarks.short("tests", run.total, run.seen)
    hidden = max(0, run.failing - runs.failed - runs.errors)
    if hidden:
        remarks.short("failures", run.failing, runs.failed + runs.errors)
    return tests_signal(source, run.tests, hidden, remarks)


class _Run:
    """Takes the elements one by one."""

    def __init__(self) -> None:
        self.tests = Tests("xUnit.net")
        self.total = self.failing = 0  # as the assemblies say
        self.seen = 0  # <test> elements
        self._begun = False
        self._assembly = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._begun and name not in _ROOTS:
            raise BadReport(f"The root element is <{name[:40]}>; xUnit.net results begin with <assemblies>.")
        self._begun = True
        if name == "assembly":
            path = attributes.get("name", "").replace("\\", "/")
            self._assembly = path.rpartition("/")[2]
            self.total += whole_number(attributes.get("total")) or 0
            self.failing += sum(whole_number(attributes.get(key)) or 0 for key in ("failed", "errors"))
        elif name == "error":
            self.tests.add(self.tests.id_of(self._assembly, ""), ERROR)
        elif name == "test":
            self.seen += 1
            owner = attributes.get("type", "").strip()
            test = attributes.get("name", "").removeprefix(f"{owner}.") or attributes.get("method", "")
            self.tests.duration_s += seconds(attributes.get("time"))
            outcome = _RESULTS.get(attributes.get("result", "").strip().lower(), ERROR)
            self.tests.add(self.tests.id_of(owner, test, once=True), outcome, owner=owner)
