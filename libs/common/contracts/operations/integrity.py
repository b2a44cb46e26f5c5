"""Whether stored evidence is still what was stored: samples of it, read and hashed anew."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.integrity import IntegrityIssue, TableIntegrity
from libs.common.contracts.jobs import JobTrigger
from libs.common.contracts.preflight import Overall
from libs.common.problems import NotFound

JOB = "evidence_integrity"
BASE = "/api/ops/integrity/evidence-archive"


class IntegrityWanted(Model):
    sample_per_table: int = Field(20, ge=1, le=200, description="How many of each kind of evidence are read")
    max_issues: int = Field(50, ge=1, le=500, description="How many issues are named; all are counted")


class Unasked(Open):
    """A service whose evidence could not be looked at, and why."""

    service: str
    reason: str


class Integrity(Open):
    """Critical: something is not what was stored, or can't be read. Warning: something is missing, a service did not
    answer, or there was nothing to check. ``skipped_count`` were left out for their size.
    """

    status: Overall
    message: str
    checked_at: Time
    sample_per_table: int
    checked_count: int
    missing_blob_count: int
    missing_hash_count: int
    digest_mismatch_count: int
    read_error_count: int
    skipped_count: int
    issue_count: int
    issues: list[IntegrityIssue]
    tables: list[TableIntegrity]
    unread: list[Unasked]


class IntegrityRun(Integrity):
    """A batch that was run, told to the gates and archived. ``archive_error`` says why there is no file of it."""

    run_id: int
    trigger: JobTrigger
    archive_file: str | None
    archive_sha256: str | None
    archive_error: str | None


class IntegrityKey(Model):
    integrity_run_id: int = Field(ge=1, le=2**63 - 1, description="The number of the batch's run")


sample_integrity = Query(
    "operations.integrity.get",
    params=IntegrityWanted,
    result=Integrity,
    permission="operations:read",
    http=GET(BASE),
    summary="Read and hash a sample of stored evidence now",
    sited=False,
)
run_integrity = Command(
    "operations.integrity.run",
    about="{run_id}",
    kind="operations.evidence",
    body=IntegrityWanted,
    result=IntegrityRun,
    permission="operations:run",
    http=POST(f"{BASE}/run"),
    summary="The same, told to every site's gates and archived; a job does it daily",
    sited=False,
    job=JOB,
)
latest_integrity = Query(
    "operations.integrity.latest",
    result=IntegrityRun,
    permission="operations:read",
    http=GET(f"{BASE}/latest"),
    errors=(NotFound,),
    summary="The newest batch that was run",
    sited=False,
)
get_integrity_file = Query(
    "operations.integrity.file",
    params=IntegrityKey,
    result=Blob,
    permission="operations:read",
    http=GET(f"{BASE}/archive/{{integrity_run_id}}", file="application/json", bucket="checks"),
    errors=(NotFound,),
    summary="Download an archived batch",
    sited=False,
)
evidence_checked = Event(
    "operations.evidence.checked", data=IntegrityRun, summary="A sample of stored evidence was read and hashed anew"
)
