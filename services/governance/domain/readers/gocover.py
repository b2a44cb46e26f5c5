"""Go's cover profiles (``go test -coverprofile=c.out``).

Each line is a block: ``path:line.column,line.column statements count``. What counts are statements, as
``go tool cover`` counts them: a profile knows of no others. A block that stands there several
times (``-coverpkg``, profiles put one behind the other) is one block, covered if any copy is.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from libs.judge.report_base import BadReport, ParsedSignal, Remarks, clean_text
from services.governance.domain.readers.coverage_lines import coverage_signal
from services.governance.domain.readers.report_lines import read_lines
from services.governance.domain.readers.report_text import Source

MAX_BLOCKS = 1_000_000
_MODE = re.compile(r"mode:\s*(set|count|atomic)")
_BLOCK = re.compile(r"(.+):(\d{1,9}\.\d{1,9},\d{1,9}\.\d{1,9}) (\d{1,9}) (\d{1,20})")


def parse_gocover(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``coverage.cobertura`` signal whose lines are statements, with the keys that `cobertura.parse_cobertura` has.

    Raises BadReport, also for a line that is cut off: nobody knows what follows it.
    """
    source = Source(content, "Go cover")
    files: set[str] = set()
    blocks: dict[str, tuple[int, bool]] = {}
    begun = False
    for number, raw in enumerate(read_lines(source), 1):
        line = raw.strip()
        if not line or _MODE.fullmatch(line):
            begun = begun or bool(line)
            continue
        block = _BLOCK.fullmatch(line)
        if not begun or block is None:
            wanted = "path:line.column,line.column statements count" if begun else "mode: set, count or atomic"
            raise BadReport(f"Line {number} of the Go cover profile is {clean_text(line, 80)!r}; wanted {wanted}.")
        files.add(block[1])
        statements, covered = blocks.get(f"{block[1]}:{block[2]}", (0, False))
        blocks[f"{block[1]}:{block[2]}"] = (max(statements, int(block[3])), covered or bool(block[4].strip("0")))
        if len(blocks) > MAX_BLOCKS:
            raise BadReport("The Go cover profile tells of too many blocks: split it into parts.")
    valid = sum(statements for statements, _ in blocks.values())
    covered_count = sum(statements for statements, covered in blocks.values() if covered)
    return coverage_signal(source, (valid, covered_count, valid > 0), len(files), Remarks(), noun="statement")
