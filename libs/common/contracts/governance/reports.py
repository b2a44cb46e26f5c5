"""Reports: what a tool wrote, in the tool's own format, becomes signals."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import GET, POST, Command, Model, Query
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.signals import SignalKey, SignalReceipts
from libs.common.contracts.names import ArtifactDigest, Part, Subject, Version
from libs.common.problems import Invalid, NotFound, TooLarge

MAX_REPORT_BYTES = 64 * 1024 * 1024  # the largest that an installation may be set to take, unpacked
ReportFormat = Literal[
    "junit", "trx", "nunit", "xunit", "tap", "gotest", "cobertura", "jacoco", "clover", "lcov", "gocover", "sarif",
    "trivy", "grype", "npm-audit", "pip-audit", "cyclonedx", "cyclonedx-scan", "cyclonedx-vex", "spdx", "openvex",
    "kev", "checkstyle", "k6",
    "alertmanager",
]  # fmt: skip
FORMATS: tuple[str, ...] = get_args(ReportFormat)
MAX_SIGNATURE_CHARS = 16_384
MAX_TOKEN_CHARS = 8_192
PARTS_INSIDE = frozenset({"sarif", "alertmanager", "kev"})  # reports that name their parts themselves


class StoredReport(Model):
    """Where the edge put a report: in the bucket ``reports``, under its SHA-256 (hex); ``size`` in bytes, unpacked."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: int = Field(ge=1)


class RefusedReport(Model):
    """A report that the edge did not take: it has more than ``max_bytes`` bytes, unpacked."""

    max_bytes: int = Field(ge=1)


class ReportRecord(Model):
    """A report as a tool wrote it. The edge puts its bytes into ``content_zlib_base64``, or, if they are many, into the
    bucket, and says so in ``stored``. Of one that is too large it only says so, that it may be remembered. What proves
    who sends it comes in headers: ``signature`` in Headgate-Signature, ``identity_token`` in Headgate-Identity-Token.
    """

    format: ReportFormat
    subject: Subject | None = None
    version: Version | None = None
    artifact_digest: ArtifactDigest | None = None
    part: Part | None = Field(None, description="Which of several reports of a kind this is, such as unit")
    source: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    file: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        None, description="The file's name, such as unit.xml: the part of a report that names none"
    )
    subject_label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")] | None = Field(
        None, description="Alertmanager only: the label that names each alert's subject, such as service"
    )
    signature: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SIGNATURE_CHARS)] | None = None
    identity_token: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARS)] | None = None
    content_zlib_base64: str | None = None
    stored: StoredReport | None = None
    too_large: RefusedReport | None = None

    @model_validator(mode="after")
    def _one_content(self) -> ReportRecord:
        if [self.content_zlib_base64, self.stored, self.too_large].count(None) != 2:
            raise ValueError("a report has one of content_zlib_base64, stored and too_large")
        if self.subject_label is not None and self.format != "alertmanager":
            raise ValueError("subject_label tells alerts apart; leave it out for reports of other formats")
        return self


record_report = Command(
    "governance.report.record",
    about="{items.0.signal_id}",
    kind="governance.signal",
    body=ReportRecord,
    result=SignalReceipts,
    permission="signal:write",
    http=POST(
        "/api/signals/{format}",
        query=("subject", "version", "artifact_digest", "part", "source", "file", "subject_label"),
        status=201,
        reader="report",
    ),
    errors=(Invalid, TooLarge),
    summary="Record a report as a tool wrote it, such as JUnit or Cobertura XML",
)
get_report = Query(
    "governance.reports.get",
    params=SignalKey,
    result=Blob,
    permission="signal:read",
    http=GET("/api/signals/{signal_id}/report", file="application/octet-stream", bucket="reports"),
    errors=(NotFound,),
    summary="The report behind a signal, as the tool wrote it",
)
