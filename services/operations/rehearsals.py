"""Rehearsals of recovery: requests wait here, results are kept as runs and told to the operations gates.

The service does none itself: it has no right to read other schemas or to make a database (docs/decisions/0026).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg

from libs.common import job_runs
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.operations import rehearsals as contract
from libs.common.contracts.operations.rehearsals import (
    JOB,
    PendingRehearsals,
    RehearsalHistory,
    RehearsalRequest,
    RehearsalResult,
    RehearsalRun,
    RehearsalWanted,
)
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx

SITE = "global"  # where its runs are kept: a rehearsal is about the installation
SOURCE = "/headgate/operations"
MAX_AHEAD = timedelta(seconds=60)  # of another machine's clock
MAX_AGE = timedelta(days=7)
MAX_OPEN = 100  # shown; more than a few means that nobody rehearses

INSERT_REQUEST = """
INSERT INTO rehearsal_request (requested_at, trigger, requested_by) VALUES ($1, $2, $3)
RETURNING request_id, requested_at, trigger, requested_by
"""
SELECT_OPEN = """
SELECT request_id, requested_at, trigger, requested_by FROM rehearsal_request WHERE answered_by IS NULL
ORDER BY request_id LIMIT $1
"""
ANSWER = "UPDATE rehearsal_request SET answered_by = $1 WHERE answered_by IS NULL AND requested_at <= $2"
SELECT_RUNS = """
SELECT run_id, job_name, trigger, status, started_at, finished_at, detail FROM job_run
WHERE job_name = $1 AND site = $2 AND status <> 'failed' ORDER BY finished_at DESC, run_id DESC LIMIT $3
"""


async def ask(tx: Tx, trigger: JobTrigger) -> RehearsalRequest:
    """Note that a rehearsal is wanted. One that is open already is the same wish."""
    row = await tx.connection.fetchrow(SELECT_OPEN, 1)
    if row is None:
        row = await tx.connection.fetchrow(INSERT_REQUEST, tx.now, trigger, tx.actor)
    request = RehearsalRequest(**dict(row.items())) if row else None
    assert request is not None  # noqa: S101  an insert that returns
    tx.emit(contract.rehearsal_requested, request, subject=str(request.request_id), site=SITE)
    return request


async def ask_by_hand(tx: Tx, _body: RehearsalWanted) -> RehearsalRequest:
    """A rehearsal that a person asks for."""
    return await ask(tx, "api")


async def ask_by_clock(tx: Tx) -> None:
    """The weekly one."""
    await ask(tx, "schedule")


async def report(tx: Tx, result: RehearsalResult) -> RehearsalRun:
    """Keep a result as a run and tell the gates. Raises `Invalid` for one of another time, `Conflict` for a repeat."""
    if result.finished_at > tx.now + MAX_AHEAD or result.started_at < tx.now - MAX_AGE:
        raise Invalid("The rehearsal lies in the future, or more than 7 days back: set the clock, or rehearse again.")
    newest = await _newest(tx.connection, 1)
    if newest and newest[0].started_at >= result.started_at:
        raise Conflict("A rehearsal that began at the same time or later was reported already; rehearse again.")
    open_requests = await tx.connection.fetch(SELECT_OPEN, 1)
    trigger: JobTrigger = open_requests[0]["trigger"] if open_requests else "api"
    sites = await tx.ask(every_site, Nothing())
    run_id = await job_runs.next_run_id(tx)
    finished_at = min(result.finished_at, tx.now)
    status: JobStatus = "success" if result.restore_valid else "critical"
    detail = _detail(result)
    await job_runs.record(
        tx,
        JOB,
        JobDone(status, detail),
        trigger=trigger,
        run_id=run_id,
        started_at=min(result.started_at, finished_at),
        finished_at=finished_at,
    )
    await tx.connection.execute(ANSWER, run_id, result.started_at)
    run = RehearsalRun(
        run_id=run_id,
        job_name=JOB,
        status=status,
        trigger=trigger,
        started_at=min(result.started_at, finished_at),
        finished_at=finished_at,
        **detail,
    )
    for site in sites:
        tx.send(record_signals, _signal(run), site=site)
    tx.emit(contract.rehearsal_finished, run, subject=str(run_id), site=SITE)
    return run


def _detail(result: RehearsalResult) -> dict[str, Any]:
    return {
        "enabled": True,
        "simulate_restore": True,
        "restore_valid": result.restore_valid,
        "backup_file": result.backup_id,
        "counts": {name: getattr(result, name) for name in ("tables", "rows", "streams", "messages")},
        **result.model_dump(include={"backup_s", "rto_s", "rpo_s", "total_s", "size_bytes", "audit_seq", "audit_hash"}),
        "notes": result.problems,
        "pruned_files": 0,
    }


def _signal(run: RehearsalRun) -> SignalRecord:
    data = {
        "enabled": True,
        "latest_run_at": run.finished_at.isoformat(),
        "latest_status": run.status,
        "latest_restore_valid": run.restore_valid,
    }
    return SignalRecord(
        signals=[OutsideEvent(id=f"{run.run_id}-ops.dr", source=SOURCE, type="ops.dr", time=run.finished_at, data=data)]
    )


async def _newest(source: asyncpg.Pool | Connection, limit: int) -> list[RehearsalRun]:
    rows = await source.fetch(SELECT_RUNS, JOB, SITE, limit)
    return [RehearsalRun(**{**row["detail"], **{name: row[name] for name in _RUN}}) for row in rows]


_RUN = ("run_id", "job_name", "trigger", "status", "started_at", "finished_at")


async def newest(source: asyncpg.Pool | Connection) -> RehearsalRun | None:
    """The newest, for the runbook."""
    return next(iter(await _newest(source, 1)), None)


async def latest(read: Read, _params: Nothing) -> RehearsalRun:
    """The newest. Raises `NotFound`."""
    found = await _newest(read.pool, 1)
    if not found:
        raise NotFound("There was no rehearsal yet; make one on the installation's machine: headgate dr rehearse")
    return found[0]


async def history(read: Read, wanted: RehearsalHistory) -> list[RehearsalRun]:
    """The newest ones."""
    return await _newest(read.pool, wanted.limit)


async def pending(read: Read, _params: Nothing) -> PendingRehearsals:
    """What was asked for and not done yet."""
    rows = await read.pool.fetch(SELECT_OPEN, MAX_OPEN)
    items = [RehearsalRequest(**dict(row.items())) for row in rows]
    return PendingRehearsals(count=len(items), items=items)


TABLE = Table(
    commands={contract.request_rehearsal: ask_by_hand, contract.report_rehearsal: report},
    queries={
        contract.latest_rehearsal: latest,
        contract.list_rehearsals: history,
        contract.pending_rehearsals: pending,
    },
    jobs=(Job(JOB, Schedule("50 1 * * 0"), ask_by_clock, keeps_record=True),),
)
