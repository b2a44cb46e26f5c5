"""The lines of a text report, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from libs.judge.report_base import BadReport
from services.governance.domain.readers.report_text import Source

MAX_LINE_CHARS = 1_000_000


def read_lines(source: Source) -> Iterator[str]:
    """The lines without their ends; those of Windows and old Macs, too. Raises BadReport for one that never ends."""
    kept = ""
    for piece in source.text():
        # A "\\r" at the end may be the first half of a line's end.
        text = kept + piece
        held = "\r" if text.endswith("\r") else ""
        lines = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        kept = lines.pop() + held
        if len(kept) > MAX_LINE_CHARS:
            raise BadReport(f"The {source.what} report has a line of more than {MAX_LINE_CHARS} letters.")
        yield from lines
    if kept:
        yield kept.rstrip("\r")
