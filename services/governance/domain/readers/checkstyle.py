"""Checkstyle XML, as Checkstyle, ESLint, ktlint, detekt, PHP_CodeSniffer, ShellCheck and many others write it.

Tools name only files with findings, so a report without any is a clean one. A finding keeps its fingerprint when lines
above it move: it is made of path, rule and text without numbers, plus a count that tells equal ones apart.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import BinaryIO

from libs.judge.report_base import (
    DEFAULT_PART,
    JSON,
    BadReport,
    ParsedSignal,
    Remarks,
    clean_text,
    counted,
    whole_number,
)
from libs.judge.test_ids import pack
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml

KIND = "lint.findings"
MAX_ERRORS = 5_000  # listed; of more the fingerprints are kept, as a verdict compares each one
MAX_LESSER = 2_000  # listed; of more only the number is kept
MAX_FINDINGS = 500_000
_SEVERITIES = {"error": "error", "fatal": "error", "warning": "warning", "info": "info", "note": "info"}
_DIGITS = re.compile(r"\d+")
_SPACES = re.compile(r"\s+")


def parse_checkstyle(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``lint.findings`` signal.

    Data: ``error_count, warning_count, info_count, files`` (with findings), ``findings [{fingerprint, rule_id,
    severity error|warning|info, path, line, message}]``, ``severe_packed`` (fingerprints of the errors that are too
    many to be listed), ``summary, notes, incomplete``. Raises BadReport.
    """
    source = Source(content, "Checkstyle")
    report = _Report()
    read_xml(source, report.start, lambda _: None)
    remarks = report.remarks
    if source.mixed:
        remarks.note("Some bytes are not in the encoding that the report declares; they were read as Windows-1252.")
    counts = report.counts
    if report.unlisted:
        remarks.note(f"Of {counts['error']} errors, {MAX_ERRORS} are listed; of the others fingerprints are kept.")
    total = counts.total()
    words = ", ".join(f"{counts[word]} {word}" for word in ("error", "warning", "info") if counts[word])
    data: dict[str, JSON] = {
        **{f"{word}_count": counts[word] for word in ("error", "warning", "info")},
        "files": report.files,
        "findings": report.findings,
        **({"severe_packed": pack(report.unlisted)} if report.unlisted else {}),
        **remarks.data(counted(total, "finding") + (f": {words}" if words else "")),
    }
    return [ParsedSignal(KIND, DEFAULT_PART, data)]


class _Report:
    """Takes the elements one by one."""

    def __init__(self) -> None:
        self.remarks = Remarks()
        self.counts: Counter[str] = Counter()
        self.findings: list[JSON] = []
        self.unlisted: list[str] = []
        self.files = 0
        self._begun = False
        self._file = ""
        self._equal: Counter[str] = Counter()
        self._lesser = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._begun and name != "checkstyle":
            raise BadReport(f"The root element is <{name[:40]}>; Checkstyle XML begins with <checkstyle>.")
        self._begun = True
        if name == "file":
            self.files += 1
            self._file = clean_text(attributes.get("name", ""))
        elif name == "error":
            self._finding(attributes)

    def _finding(self, attributes: Mapping[str, str]) -> None:
        word = attributes.get("severity", "error").strip().lower()
        if word == "ignore":
            return
        severity = _SEVERITIES.get(word)
        if severity is None:
            self.remarks.note(f"The severity {word[:40]!r} is not one of error, warning and info; it counts as error.")
            severity = "error"
        self.counts[severity] += 1
        if self.counts.total() > MAX_FINDINGS:
            raise BadReport(f"The Checkstyle report has more than {MAX_FINDINGS} findings: split it into parts.")
        rule, message = attributes.get("source", ""), attributes.get("message", "")
        text = _DIGITS.sub("#", _SPACES.sub(" ", message).strip())
        basis = sha256(json.dumps([self._file, rule, text]).encode("utf-8", "replace")).hexdigest()[:32]
        self._equal[basis] += 1
        count = self._equal[basis]
        print_ = basis if count == 1 else sha256(f"{basis}{count}".encode()).hexdigest()[:32]
        if severity == "error" and self.counts["error"] > MAX_ERRORS:
            self.unlisted.append(print_)
            return
        if severity != "error":
            self._lesser += 1
            if self._lesser > MAX_LESSER:
                return
        self.findings.append(
            {
                "fingerprint": print_,
                "rule_id": clean_text(rule, 200),
                "severity": severity,
                "path": self._file,
                "line": whole_number(attributes.get("line")),
                "message": clean_text(message, 300),
            }
        )
