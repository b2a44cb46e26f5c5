"""Cobertura XML as Cobertura for Java, coverage.py, gcovr, coverlet, Istanbul, SimpleCov, PHPUnit and others write it.

Coverage is computed from the ``<line hits>`` elements; a line that stands in several classes of one file (inner
classes, templates) is one line, covered if any copy is. The attributes of the root are hints:

- A lower rate in them counts, with a note. ``line-rate="0"`` says nothing where no ``lines-valid`` stands beside it
  (gocover never fills it in).
- Fewer lines announced than there: a note. More: tools count lines of methods or of several classes once more, so up
  to the number of all ``<line>`` elements, or up to a third more than the lines, is a note. Beyond, the report is
  incomplete.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import BadReport, ParsedSignal, Remarks, counted, whole_number
from services.governance.domain.readers.coverage_lines import (
    LineSet,
    coverage_signal,
    has_hits,
    percent_of,
    worse_count,
)
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml


def parse_cobertura(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``coverage.cobertura`` signal.

    Data: ``line_rate_percent`` (0..100, two places, floored), ``lines_valid``, ``lines_covered``, ``files``,
    ``from_lines`` (false when the report has no line elements and only its attributes could be used), ``summary,
    notes, incomplete``. Raises BadReport.
    """
    source = Source(content, "Cobertura")
    lines = _Lines()
    read_xml(source, lines.start, lines.end)
    remarks = Remarks()
    if lines.unread:
        are = "line has" if lines.unread == 1 else "lines have"
        remarks.note(f"{lines.unread} {are} no count of hits that can be read, and count as not covered.")
    percent, valid, covered, from_lines = _counts(lines, remarks)
    return coverage_signal(source, (valid, covered, from_lines), lines.set.files, remarks, percent=percent)


class _Lines:
    """Takes the elements one by one and keeps, per file, which lines there are and which are covered."""

    def __init__(self) -> None:
        self.root: Mapping[str, str] | None = None
        self.unread = 0
        self.set = LineSet("Cobertura")
        # All <line> elements and the covered ones, of classes and of methods, each copy counted.
        self._copies = {"class": [0, 0], "method": [0, 0]}
        self._path: list[str] = []
        self._file = 0
        self._own = False  # the class at hand has lines of its own
        self._of_methods: list[tuple[int, bool]] = []

    def other_counts(self) -> list[tuple[int, int]]:
        """What tools that count copies announce: (all, covered) of classes, of methods, of both."""
        (valid, covered), (more, more_covered) = self._copies["class"], self._copies["method"]
        return [(valid, covered), (more, more_covered), (valid + more, covered + more_covered)]

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self.root is None:
            if name != "coverage":
                raise BadReport(f"The root element is <{name[:40]}>; Cobertura XML begins with <coverage>.")
            self.root = dict(attributes)
        self._path.append(name)
        if name == "class":
            self._file = self.set.file(attributes.get("filename") or attributes.get("name") or "")
            self._own = False
            self._of_methods.clear()
        elif name == "line" and len(self._path) > 2 and self._path[-2] == "lines":
            self._line(attributes)

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "class":
            # Where a tool gives only the lines of the methods, these are the class's.
            if not self._own:
                for number, covered in self._of_methods:
                    self.set.keep(self._file, number, covered=covered)
            self._of_methods.clear()

    def _line(self, attributes: Mapping[str, str]) -> None:
        copies = self._copies.get(self._path[-3])
        if copies is None:
            return
        number = whole_number(attributes.get("number"))
        if number is None:
            number = self.set.nowhere()
        hits = has_hits(attributes.get("hits"))
        self.unread += hits is None
        covered = hits is True
        copies[0] += 1
        copies[1] += covered
        if self._path[-3] == "class":
            self._own = True
            self.set.keep(self._file, number, covered=covered)
        elif not self._own:
            self._of_methods.append((number, covered))


def _counts(lines: _Lines, remarks: Remarks) -> tuple[float, int, int, bool]:
    """Percent, valid, covered, from lines."""
    root = lines.root or {}
    valid, covered = lines.set.count()
    told_valid, told_covered = whole_number(root.get("lines-valid")), whole_number(root.get("lines-covered"))
    if told_valid is not None and told_covered is not None and told_covered > told_valid:
        remarks.note(f"The attributes claim {told_covered} covered of {told_valid} lines, so they say nothing.")
        told_valid = told_covered = None
    from_lines = valid > 0
    others = lines.other_counts()
    if told_valid is not None and told_valid > max(others[-1][0], valid + math.ceil(valid / 3)):
        remarks.short("lines", told_valid, valid)
    if not from_lines and told_valid:
        valid, covered = told_valid, told_covered or 0
    if from_lines and told_valid and told_covered is not None and (told_valid, told_covered) not in others:
        valid, covered = worse_count((valid, covered), (told_valid, told_covered), remarks)
    elif from_lines and told_valid is not None and told_valid not in (valid, *(other[0] for other in others)):
        remarks.note(f"The attributes claim {counted(told_valid, 'line')}, and {valid} are there.")
    percent = percent_of(covered, valid)
    if valid and not any(all_ and _fits(root, 100 * some / all_) for all_, some in others):
        percent = _worse_rate(root, percent, covered, bool(told_valid), remarks)
    return percent, valid, covered, from_lines


def _rate(root: Mapping[str, str]) -> tuple[float | None, float]:
    """The attribute ``line-rate`` as percent, None if it is no number, and by how much rounding may change it."""
    text = root.get("line-rate", "").strip().replace(",", ".")
    try:
        rate = 100 * float(text)
    except ValueError:
        return None, 0.0
    # coverage.py writes "%.4g", others two places: the last digit may be off.
    decimals = len(text.partition(".")[2])
    return (rate if math.isfinite(rate) else None), 1.0 if decimals < 3 else max(100 * 10.0**-decimals, 0.01)


def _fits(root: Mapping[str, str], percent: float) -> bool:
    rate, tolerance = _rate(root)
    return rate is not None and abs(rate - percent) <= tolerance + 1e-9


def _worse_rate(
    root: Mapping[str, str],
    percent: float,
    covered: int,
    valid_told: bool,
    remarks: Remarks,
) -> float:
    """The lower one of ``percent`` and the attribute ``line-rate``, where that says something."""
    rate, tolerance = _rate(root)
    if rate is None:
        return percent
    if not 0.0 <= rate <= 100.0:
        remarks.note(f"The attribute line-rate={rate / 100:g} is not between 0 and 1, so it says nothing.")
        return percent
    if rate >= percent - tolerance - 1e-9:
        return percent
    if rate == 0 and covered and not valid_told:
        remarks.note("The attribute line-rate is 0 though lines are covered, so it says nothing.")
        return percent
    remarks.note(f"The attribute line-rate claims {rate:.4g} %, the lines show {percent:g} %; the worse counts.")
    return math.floor(rate * 100 + 1e-6) / 100
