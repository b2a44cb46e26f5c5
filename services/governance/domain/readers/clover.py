"""Clover XML, as OpenClover, PHPUnit, Istanbul (Jest, nyc) and others write it.

A ``<line>`` of type ``stmt`` or ``cond`` is a line of code; ``method`` marks where one begins and counts only in a file
that has no others. A ``cond`` may have no ``count``: it is covered if it was ever true or false. Test sources
(``<testproject>``) are no code under test. The totals count statements, of which a line may hold several, so they are
no measure of the lines: they are used where there are none, and tell whether most are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import BadReport, ParsedSignal, Remarks, whole_number
from services.governance.domain.readers.coverage_lines import LineSet, coverage_signal, has_hits
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml

MOST_STATEMENTS_A_LINE = 3  # on the average of a project


def parse_clover(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``coverage.cobertura`` signal, with the keys that `cobertura.parse_cobertura` says. Raises BadReport."""
    source = Source(content, "Clover")
    report = _Report()
    read_xml(source, report.start, report.end)
    remarks = Remarks()
    valid, covered = report.lines.count()
    told, told_covered = report.told
    if told > valid * MOST_STATEMENTS_A_LINE:
        remarks.short("statements", told, valid)
    if report.unread:
        remarks.note(f"Lines without a count that can be read: {report.unread}. They count as not covered.")
    counts = (valid, covered, True) if valid else (told, min(told_covered, told), False)
    return coverage_signal(source, counts, report.lines.files, remarks)


class _Report:
    """Takes the elements one by one."""

    def __init__(self) -> None:
        self.lines = LineSet("Clover")
        self.told = (0, 0)  # statements of all projects, covered ones
        self.unread = 0
        self._path: list[str] = []
        self._package = ""
        self._file = 0
        self._own = False
        self._methods: list[tuple[int, bool]] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._path and name != "coverage":
            raise BadReport(f"The root element is <{name[:40]}>; Clover XML begins with <coverage>.")
        if len(self._path) == 1 and name == "packages":
            raise BadReport("This is Cobertura XML: Clover has a <project> in its <coverage>.")
        self._path.append(name)
        if "testproject" in self._path:
            return
        if name == "package":
            self._package = attributes.get("name", "")
        elif name == "file":
            path = attributes.get("path") or f"{self._package}/{attributes.get('name', '')}"
            self._file = self.lines.file(path)
            self._own = False
            self._methods.clear()
        elif name == "line" and "file" in self._path:
            self._line(attributes)
        elif name == "metrics" and self._path[-2] == "project":
            told = [whole_number(attributes.get(key)) or 0 for key in ("statements", "coveredstatements")]
            self.told = (self.told[0] + told[0], self.told[1] + told[1])

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "file" and "testproject" not in self._path:
            if not self._own:
                for number, covered in self._methods:
                    self.lines.keep(self._file, number, covered=covered)
            self._methods.clear()

    def _line(self, attributes: Mapping[str, str]) -> None:
        number = whole_number(attributes.get("num"))
        place = self.lines.nowhere() if number is None else number
        counts = [has_hits(attributes[key]) for key in ("count", "truecount", "falsecount") if key in attributes]
        covered = any(counts) if "count" not in attributes else counts[0] is True
        self.unread += not counts or None in counts
        if attributes.get("type") == "method":
            self._methods.append((place, covered))
        else:
            self._own = True
            self.lines.keep(self._file, place, covered=covered)
