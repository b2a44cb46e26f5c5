"""The runs of all services' jobs, in one list."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Json, Model, Open, Query, Time
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.problems import Invalid

MAX_OFFSET = 10_000
MAX_COUNTED_DAYS = 32


class JobRunFilter(Model):
    job_name: str | None = Field(None, pattern=r"^[a-z0-9_]{1,60}$", description="Only runs of this job")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="How many of the newest to leave out")


class ListedRun(Open):
    """A run of a job, or of a gate; ``id`` is its number in the service that ran it, unique over all services."""

    id: int
    job_name: str
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time
    detail: Json
    service: str
    site: str
    actor: str
    parent_run: int | None
    policy_version: str | None


class JobRunWindow(Model):
    """Runs that finished at ``since`` or later and before ``until``."""

    since: Time
    until: Time


class JobRunCount(Open):
    job_name: str
    status: JobStatus
    run_count: int


class JobRunCounts(Open):
    """How often each job ended how, over all sites. Of what ended before ``kept_since`` nothing is known any more."""

    kept_since: Time
    counts: list[JobRunCount]


list_job_runs = Query(
    "metrics.job_runs.list",
    params=JobRunFilter,
    result=list[ListedRun],
    permission="job:read",
    http=GET("/api/ops/job-runs"),
    summary="List runs of jobs of all services, newest first",
)
count_job_runs = Query(
    "metrics.job_runs.count", params=JobRunWindow, result=JobRunCounts, errors=(Invalid,), sited=False
)  # for services
