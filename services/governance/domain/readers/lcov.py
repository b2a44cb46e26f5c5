"""LCOV traces (``lcov.info``), as lcov, c8, nyc, Jest, Dart, Bazel, cargo-llvm-cov and others write them.

Lines are ``DA:number,hits`` between ``SF:path`` and ``end_of_record``; ``LF`` and ``LH`` of a record are hints. A path
that has several records (one for each test) is one file. A last record without its end was cut off.
"""

from __future__ import annotations

from typing import BinaryIO

from libs.judge.report_base import BadReport, ParsedSignal, Remarks, clean_text, whole_number
from services.governance.domain.readers.coverage_lines import LineSet, against_totals, coverage_signal, has_hits
from services.governance.domain.readers.report_lines import read_lines
from services.governance.domain.readers.report_text import Source


def parse_lcov(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``coverage.cobertura`` signal, with the keys that `cobertura.parse_cobertura` says. Raises BadReport."""
    source = Source(content, "LCOV")
    trace = _Trace()
    for number, line in enumerate(read_lines(source), 1):
        trace.take(line.strip(), number)
    if not trace.records:
        raise BadReport("The LCOV report has no record: one begins with SF: and the path of a file.")
    remarks = Remarks()
    counts = against_totals(trace.lines, None if trace.repeated else trace.told, remarks)
    if trace.open:
        remarks.short("end_of_record lines", trace.records, trace.records - 1)
        remarks.note("The last record has no end_of_record: the file may have been cut off.")
    if trace.unread:
        remarks.note(f"Lines whose hits can't be read: {trace.unread}. They count as not covered.")
    return coverage_signal(source, counts, trace.lines.files, remarks)


class _Trace:
    """Takes the lines one by one."""

    def __init__(self) -> None:
        self.lines = LineSet("LCOV")
        self.told: tuple[int, int] | None = None  # lines of all records, covered ones
        self.records = 0
        self.open = False
        self.repeated = False  # a file has several records, whose totals can't be added up
        self.unread = 0
        self._file = 0

    def take(self, line: str, number: int) -> None:
        key, colon, value = line.partition(":")
        if not colon:
            if line == "end_of_record":
                self.open = False
            elif line and not line.startswith("#") and not self.records:
                raise BadReport(f"Line {number} is no line of an LCOV trace: {clean_text(line, 80)!r}.")
            return
        if key == "SF":
            known = self.lines.files
            self._file = self.lines.file(value)
            self.repeated |= self.lines.files == known
            self.records += 1
            self.open = True
        elif key == "DA" and self.open:
            fields = value.split(",")
            place = whole_number(fields[0])
            hits = has_hits(fields[1]) if len(fields) > 1 else None
            self.unread += hits is None
            self.lines.keep(self._file, self.lines.nowhere() if place is None else place, covered=hits is True)
        elif key in ("LF", "LH") and self.open:
            count, told = whole_number(value) or 0, self.told or (0, 0)
            self.told = (told[0] + count, told[1]) if key == "LF" else (told[0], told[1] + count)
        elif not self.records and key not in ("TN", "VER"):
            raise BadReport(f"Line {number} is no line of an LCOV trace: {clean_text(line, 80)!r}.")
