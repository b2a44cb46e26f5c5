"""Retention: deliveries that are over are written into an archive, and only then removed."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Model, Nothing, Open, Page, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.notifier.outages import ALERTS
from libs.common.contracts.notifier.policies import Policy
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict, Invalid, NotFound

RETENTION_JOB = "alert_retention"
MAX_PER_RUN = 5000
MIN_DAYS = 31  # longer than events are kept: a replay always sees what was sent before
KEPT_ARCHIVES_DAYS = 1095
_PATH = f"{ALERTS}/retention"


class RetentionPolicy(Model):
    """How long deliveries that are over can be looked at."""

    enabled: bool = Field(True, description="Whether the job removes anything")
    retention_days: int = Field(90, ge=MIN_DAYS, le=3650, description="How many days a delivery is kept")
    max_delete: int = Field(MAX_PER_RUN, ge=1, le=MAX_PER_RUN, description="How many a run removes at the most")


class RetentionBody(Model):
    dry_run: bool = Field(False, description="Only say how many would be removed")


class Archive(Open):
    """A CSV of deliveries that were removed. ``sha256`` (hex) and ``size_bytes`` are of the CSV itself."""

    archive_id: int
    site: str
    sha256: str
    size_bytes: int
    row_count: int
    oldest_at: Time
    newest_at: Time
    created_at: Time


class RetentionRun(Open):
    """What a run did. ``candidate_count`` is at most what the policy lets a run remove; ``left_over``: there are more.

    ``deleted_count`` is never above ``archived_count``: if the archive can't be written and read back, ``error`` says
    why, the run has failed and everything is where it was.
    """

    run_id: int
    job_name: str
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time
    dry_run: bool = False
    policy: RetentionPolicy | None = None
    before: Time | None = None
    candidate_count: int = 0
    archived_count: int = 0
    deleted_count: int = 0
    left_over: bool = False
    archive: Archive | None = None
    error: str | None = None


class ArchiveFilter(Model):
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class ArchiveKey(Model):
    archive_id: int = Field(ge=1, le=2**63 - 1, description="The archive's number")


RETENTION_DOCUMENT: Document[RetentionPolicy] = Document(
    "notifier",
    "retention_policy",
    content=RetentionPolicy,
    default=RetentionPolicy(),
    path=f"{_PATH}/policy/document",
    what="the retention policy",
)
RETENTION: Policy[RetentionPolicy] = Policy(
    RETENTION_DOCUMENT, f"{_PATH}/policy", key="alert_retention_default", scope="ops.alerts.retention"
)
get_policy = RETENTION.get
set_policy = RETENTION.configure
run_retention = Command(
    "notifier.retention.run",
    about="{site}",
    body=RetentionBody,
    result=RetentionRun,
    permission="subscription:write",
    http=POST(f"{_PATH}/run", query=("dry_run",)),
    errors=(Conflict,),
    summary="Archive deliveries that are older than the policy says, then remove them",
    job=RETENTION_JOB,
)
latest_retention = Query(
    "notifier.retention.latest",
    params=Nothing,
    result=RetentionRun,
    permission="subscription:read",
    http=GET(f"{_PATH}/latest"),
    errors=(NotFound,),
    summary="The newest run of the retention",
)
list_archives = Query(
    "notifier.archives.list",
    params=ArchiveFilter,
    result=Page[Archive],
    permission="subscription:read",
    http=GET(f"{_PATH}/archives"),
    errors=(Invalid,),
    summary="List the archives of deliveries that were removed, newest first",
)
get_archive = Query(
    "notifier.archives.get",
    params=ArchiveKey,
    result=Blob,
    permission="subscription:read",
    http=GET(f"{_PATH}/archives/{{archive_id}}", file="text/csv", bucket="archives"),
    errors=(NotFound,),
    summary="An archive of deliveries as CSV",
)
