"""What every reader of coverage shares: which lines there are, which are covered, and the data of the fact.

A line that a report shows several times is one line, covered if any copy is. What a report says of itself (totals) is a
hint: a lower rate in it counts, with a note; many more lines than are there make the report incomplete.
"""

from __future__ import annotations

import math
import re

from libs.judge.report_base import DEFAULT_PART, JSON, BadReport, ParsedSignal, Remarks, clean_text, counted
from services.governance.domain.readers.report_text import Source

KIND = "coverage.cobertura"  # named after the first format that was read; it is line coverage whatever wrote it
MAX_BLOCKS = 1_000_000
BLOCK_LINES = 64  # lines that share one number of twice as many bits: valid ones low, covered ones high
_HITS = re.compile(r"\+?(\d+)(\.\d*)?([eE]\+?\d+)?")


def has_hits(text: str | None) -> bool | None:
    """Whether a count of hits is above 0, None if it is no count. Beyond 2^53 it is only "many", so digits are read."""
    hits = _HITS.fullmatch((text or "").strip())
    return None if hits is None else bool(hits[1].strip("0") or (hits[2] or "").strip(".0"))


class LineSet:
    """Which lines of which files there are, and which of them are covered. ``what`` names the format in sentences."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._files: dict[str, int] = {}
        self._blocks: dict[tuple[int, int], int] = {}
        self._unnumbered = 0

    @property
    def files(self) -> int:
        return len(self._files)

    def file(self, name: str) -> int:
        """The number of a file, for `keep`."""
        return self._files.setdefault(clean_text(name), len(self._files))

    def nowhere(self) -> int:
        """A number for a line of which nobody knows where it stands: it is a line of its own."""
        self._unnumbered += 1
        return -self._unnumbered * BLOCK_LINES

    def keep(self, file: int, number: int, *, covered: bool) -> None:
        """Add a line. Raises BadReport beyond ``MAX_BLOCKS``."""
        block, place = divmod(number, BLOCK_LINES)
        bits = 1 << place | (1 << (place + BLOCK_LINES) if covered else 0)
        key = (file, block)
        self._blocks[key] = self._blocks.get(key, 0) | bits
        if len(self._blocks) > MAX_BLOCKS:
            raise BadReport(f"The {self._what} report tells of too many lines: split it into parts.")

    def count(self) -> tuple[int, int]:
        """How many lines there are, and how many of them are covered."""
        mask = (1 << BLOCK_LINES) - 1
        valid = sum((bits & mask).bit_count() for bits in self._blocks.values())
        return valid, sum((bits >> BLOCK_LINES).bit_count() for bits in self._blocks.values())


def percent_of(covered: int, valid: int) -> float:
    """With two places, floored, so that 79.999 % never reads as 80 %; of no line 0."""
    return covered * 10_000 // valid / 100 if valid else 0.0


def worse_count(shown: tuple[int, int], told: tuple[int, int], remarks: Remarks) -> tuple[int, int]:
    """Of (lines, covered) by elements and by attributes the one with the lower rate, with a note if they differ."""
    if shown == told:
        return shown
    difference = told[1] * shown[0] - shown[1] * told[0]
    which = "the worse of both counts" if difference else "the lines count"
    remarks.note(
        f"The attributes claim {told[1]} of {told[0]} lines, the lines show {shown[1]} of {shown[0]}; {which}."
    )
    return told if difference < 0 else shown


def against_totals(lines: LineSet, told: tuple[int, int] | None, remarks: Remarks) -> tuple[int, int, bool]:
    """(valid, covered, from lines) of a report whose totals ``told`` count its own lines, each once or a bit more."""
    valid, covered = lines.count()
    if told is None or not told[0]:
        return valid, covered, valid > 0
    if told[1] > told[0]:
        remarks.note(f"The totals claim {told[1]} covered of {told[0]} lines, so they say nothing.")
        return valid, covered, valid > 0
    if told[0] > valid + math.ceil(valid / 3):
        remarks.short("lines", told[0], valid)
    if not valid:
        return *told, False
    return *worse_count((valid, covered), told, remarks), True


def coverage_signal(
    source: Source,
    counts: tuple[int, int, bool],
    files: int,
    remarks: Remarks,
    *,
    percent: float | None = None,
    noun: str = "line",
) -> list[ParsedSignal]:
    """The fact of a report. ``counts``: valid, covered, from lines; ``percent``: if it is worse than these say."""
    if source.mixed:
        remarks.note("Some bytes are not in the encoding that the report declares; they were read as Windows-1252.")
    valid, covered, from_lines = counts
    rate = percent_of(covered, valid) if percent is None else percent
    told = "" if from_lines else " by the attributes alone"
    summary = f"{covered} of {counted(valid, noun)}{told}, {rate:g} %" if valid else f"no {noun} of code"
    data: dict[str, JSON] = {
        "line_rate_percent": rate,
        "lines_valid": valid,
        "lines_covered": covered,
        "files": files,
        "from_lines": from_lines,
        **remarks.data(summary),
    }
    return [ParsedSignal(KIND, DEFAULT_PART, data)]
