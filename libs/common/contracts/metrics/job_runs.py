"""The runs of all services' jobs, in one list."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Json, Model, Open, Query, Time
from libs.common.contracts.jobs import JobStatus, JobTrigger

MAX_OFFSET = 10_000


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


list_job_runs = Query(
    "metrics.job_runs.list",
    params=JobRunFilter,
    result=list[ListedRun],
    permission="job:read",
    http=GET("/api/ops/job-runs"),
    summary="List runs of jobs of all services, newest first",
)
