"""JaCoCo XML, as its Maven and Gradle plugins and its command line write it.

Lines stand in ``<sourcefile>``; one is covered if any of its instructions ran (``ci`` above 0), as JaCoCo counts it.
The LINE counter of the root is a hint. Classes that were compiled without line numbers have no lines at all, so a
report of such has nothing but instructions: it covers no line of code, and a note says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import BadReport, ParsedSignal, Remarks, whole_number
from services.governance.domain.readers.coverage_lines import LineSet, against_totals, coverage_signal, has_hits
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml


def parse_jacoco(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``coverage.cobertura`` signal, with the keys that `cobertura.parse_cobertura` says. Raises BadReport."""
    source = Source(content, "JaCoCo")
    report = _Report()
    read_xml(source, report.start, report.end)
    remarks = Remarks()
    counts = against_totals(report.lines, report.told, remarks)
    if not counts[0] and report.instructions:
        remarks.note("The classes were compiled without line numbers: compile them with debug information (-g:lines).")
    return coverage_signal(source, counts, report.lines.files, remarks)


class _Report:
    """Takes the elements one by one."""

    def __init__(self) -> None:
        self.lines = LineSet("JaCoCo")
        self.told: tuple[int, int] | None = None
        self.instructions = False
        self._path: list[str] = []
        self._names: list[str] = []  # of groups and the package: two modules may have files of one name
        self._file = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._path and name != "report":
            raise BadReport(f"The root element is <{name[:40]}>; JaCoCo XML begins with <report>.")
        self._path.append(name)
        if name in ("group", "package"):
            self._names.append(attributes.get("name", ""))
        elif name == "sourcefile":
            self._file = self.lines.file("/".join([*self._names, attributes.get("name", "")]))
        elif name == "line" and self._path[-2] == "sourcefile":
            number = whole_number(attributes.get("nr"))
            place = self.lines.nowhere() if number is None else number
            self.lines.keep(self._file, place, covered=has_hits(attributes.get("ci")) is True)
        elif name == "counter" and len(self._path) == 2:
            self._total(attributes)

    def end(self, name: str) -> None:
        self._path.pop()
        if name in ("group", "package"):
            self._names.pop()

    def _total(self, attributes: Mapping[str, str]) -> None:
        missed, covered = whole_number(attributes.get("missed")), whole_number(attributes.get("covered"))
        if attributes.get("type") == "INSTRUCTION":
            self.instructions = bool(missed or covered)
        if attributes.get("type") == "LINE" and missed is not None and covered is not None:
            self.told = (missed + covered, covered)
