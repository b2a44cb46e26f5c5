"""Reports: what a tool wrote, in the tool's own format, becomes signals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import POST, Command, Model
from libs.common.contracts.governance.signals import SignalReceipts
from libs.common.contracts.names import Part, Subject, Version
from libs.common.problems import Invalid, TooLarge

ReportFormat = Literal["junit", "cobertura", "sarif", "alertmanager"]


class ReportRecord(Model):
    """A report as a tool wrote it; ``content_zlib_base64`` is its bytes, packed by the edge."""

    format: ReportFormat
    subject: Subject | None = None
    version: Version | None = None
    part: Part | None = Field(None, description="Which of several reports of a kind this is, such as unit")
    source: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    file: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        None, description="The file's name, such as unit.xml: the part of a report that names none"
    )
    content_zlib_base64: str


record_report = Command(
    "governance.report.record",
    body=ReportRecord,
    result=SignalReceipts,
    permission="signal:write",
    http=POST(
        "/api/signals/{format}", query=("subject", "version", "part", "source", "file"), status=201, reader="report"
    ),
    errors=(Invalid, TooLarge),
    summary="Record a report as a tool wrote it: JUnit or Cobertura XML, SARIF 2.1.0, an Alertmanager v4 webhook",
)
