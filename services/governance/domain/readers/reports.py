"""Reports as tools write them, turned into facts.

``parse_report("junit", content)`` gives one ParsedSignal, SARIF one for each tool in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from libs.judge.report_base import MAX_REPORT_BYTES, BadReport, ParsedSignal
from services.governance.domain.readers.alertmanager import parse_alertmanager
from services.governance.domain.readers.cobertura import parse_cobertura
from services.governance.domain.readers.junit import parse_junit
from services.governance.domain.readers.sarif import parse_sarif

__all__ = ["FORMATS", "KIND_OF", "MAX_REPORT_BYTES", "BadReport", "ParsedSignal", "parse_report"]

_PARSERS: dict[str, Callable[[bytes | BinaryIO], list[ParsedSignal]]] = {
    "junit": parse_junit,
    "cobertura": parse_cobertura,
    "sarif": parse_sarif,
    "alertmanager": parse_alertmanager,
}
FORMATS = tuple(_PARSERS)
KIND_OF = {
    "junit": "test.junit",
    "cobertura": "coverage.cobertura",
    "sarif": "scan.sarif",
    "alertmanager": "alert.alertmanager",
}


def parse_report(format: str, content: bytes | BinaryIO) -> list[ParsedSignal]:  # noqa: A002 - the word of the HTTP path
    """The facts in a report: at least one, in the order of the file.

    ``format`` is one of ``FORMATS``; ``content`` is the file as the tool wrote it: its bytes, or
    an open binary file that can seek (then little of it is in memory at a time). Raises BadReport.
    """
    parser = _PARSERS.get(format)
    if parser is None:
        raise BadReport(f"Unknown report format {format[:40]!r}: use one of {', '.join(FORMATS)}.")
    return parser(content)
