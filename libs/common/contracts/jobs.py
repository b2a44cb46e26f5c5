"""Jobs and their runs: what every service declares in the same way, beside its dead letters."""

from __future__ import annotations

from typing import Literal

from libs.common.contracts.base import GET, Event, Json, Nothing, Open, Query, Time

JobStatus = Literal["success", "warning", "critical", "failed"]
JobTrigger = Literal["api", "schedule", "autopilot", "event"]


class JobRun(Open):
    """What a job did, once. ``run_id`` is unique over all services. ``parent_run``: the run that had it done.

    ``policy_version`` names the settings that it went by, where a job goes by any. ``detail`` is the job's own.
    """

    run_id: int
    job_name: str
    site: str
    trigger: JobTrigger
    actor: str
    status: JobStatus
    started_at: Time
    finished_at: Time
    parent_run: int | None = None
    policy_version: str | None = None
    detail: Json = {}


class JobState(Open):
    """A job, its schedule, and its newest run in any site. ``next_at`` is null for a job that is switched off.

    ``runs_always``: each instant of its schedule leaves a run; others run only in the sites that they are needed in.
    """

    job_name: str
    service: str
    cron: str | None = None
    zone: str | None = None
    next_at: Time | None = None
    runs_always: bool = False
    last_run_id: int | None = None
    last_status: JobStatus | None = None
    last_finished_at: Time | None = None


def job_event(service: str) -> Event:
    """Tells that a run has finished: one that did something, or failed."""
    return Event(f"{service}.job.finished", data=JobRun, summary="A job has run")


def jobs_query(service: str) -> Query:
    """The service's jobs with their schedules."""
    return Query(
        f"{service}.jobs.list",
        params=Nothing,
        result=list[JobState],
        permission="job:read",
        http=GET(f"/api/jobs/{service}"),
        sited=False,
        summary=f"List the jobs of {service}, when they run next, and how they ended last",
    )
