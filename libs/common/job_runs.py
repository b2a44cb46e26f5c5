"""Runs of jobs: a row in the service's schema and an event, in the transaction of what the run did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from libs.common.contracts.jobs import JobRun, JobTrigger, job_event
from libs.common.service import Connection, JobDone, Tx

RECORD = """
INSERT INTO job_run (job_name, site, trigger, actor, status, started_at, finished_at, parent_run, policy_version,
    detail, run_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, coalesce($11, nextval('job_run_id'))) RETURNING run_id
"""
LATEST = """
SELECT * FROM job_run WHERE job_name = $1 AND site = $2 ORDER BY finished_at DESC, run_id DESC LIMIT 1
"""
NEXT_RUN_ID = "SELECT nextval('job_run_id')"
PRUNE_RUNS = "DELETE FROM job_run WHERE finished_at < $1"
PRUNE_TICKS = "DELETE FROM job_tick WHERE due_at < $1"


async def record(
    tx: Tx,
    job_name: str,
    done: JobDone | None,
    *,
    trigger: JobTrigger = "api",
    parent_run: int | None = None,
    run_id: int | None = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
) -> JobRun:
    """Keep that a job has run in ``tx.site``, and tell it. Times default to ``tx.now``; ``run_id`` to the next one.

    A run that had nothing to do (``done`` is None) is kept and not told: the audit log is no place for idle ticks.
    """
    values: dict[str, Any] = {
        "job_name": job_name,
        "site": tx.site,
        "trigger": trigger,
        "actor": tx.actor,
        "status": done.status if done else "success",
        "started_at": started_at or tx.now,
        "finished_at": finished_at or tx.now,
        "parent_run": parent_run,
        "policy_version": done.policy_version if done else None,
        "detail": dict(done.detail) if done else {},
    }
    run = JobRun(run_id=await tx.connection.fetchval(RECORD, *values.values(), run_id), **values)
    if done is not None:
        tx.emit(job_event(tx.service), run, subject=str(run.run_id))
    return run


async def next_run_id(tx: Tx) -> int:
    """The number of a run that is recorded later, for those of its parts that are recorded before it."""
    number: int = await tx.connection.fetchval(NEXT_RUN_ID)
    return number


async def latest(source: asyncpg.Pool | Connection, site: str, job_name: str) -> JobRun | None:
    """The newest run of a job in a site."""
    row = await source.fetchrow(LATEST, job_name, site)
    return None if row is None else JobRun(**dict(row))


def envelope(run: JobRun) -> dict[str, Any]:
    """A run as ``POST …/run`` and ``GET …/latest`` answer it: the record's fields, then those of its detail."""
    known: Mapping[str, Any] = {
        "run_id": run.run_id,
        "job_name": run.job_name,
        "trigger": run.trigger,
        "status": run.status,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }
    return {**run.detail, **known}
