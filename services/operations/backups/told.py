"""What the keeper tells of backups: each is kept as a run of the job ``backup``, with an event.

The service makes none itself: it has no right to read other schemas (docs/decisions/0026, 0033).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common import job_runs
from libs.common.contracts.base import Nothing
from libs.common.contracts.jobs import JobStatus
from libs.common.contracts.operations import backups as contract
from libs.common.contracts.operations.backups import JOB, BackupHistory, BackupResult, BackupRun, KeeperDuties
from libs.common.contracts.operations.daily import JOB as DAILY_CHECK
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Connection, JobDone, Read, Table, Tx
from services.operations import rehearsals

SITE = "global"  # where its runs are kept: a backup is of the installation
MAX_AHEAD = timedelta(seconds=60)  # of another machine's clock
MAX_AGE = timedelta(days=7)

SELECT_RUNS = """
SELECT run_id, job_name, status, started_at, finished_at, detail FROM job_run
WHERE job_name = $1 AND site = $2 AND status <> 'failed' ORDER BY finished_at DESC, run_id DESC LIMIT $3
"""
SELECT_GOOD = """
SELECT detail FROM job_run WHERE job_name = $1 AND site = $2 AND status = 'success'
ORDER BY finished_at DESC, run_id DESC LIMIT 1
"""
SELECT_FIRST_CHECK = "SELECT min(finished_at) FROM job_run WHERE job_name = $1 AND site = $2"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of backups: the newest word, the newest good one's recovery point and size, and since when checks
    are made (None: they never were), which is how long the installation has had a chance.
    """

    latest: BackupRun | None
    good_at: datetime | None
    size_bytes: int
    watched_since: datetime | None


async def report(tx: Tx, result: BackupResult) -> BackupRun:
    """Keep what was told. Raises `Invalid` for one of another time, `Conflict` for a repeat."""
    if result.finished_at > tx.now + MAX_AHEAD or result.started_at < tx.now - MAX_AGE:
        raise Invalid("The work lies in the future, or more than 7 days back: set the clock, or report it anew.")
    if result.recovery_point is not None and result.recovery_point > result.finished_at + MAX_AHEAD:
        raise Invalid("The recovery point lies behind the end of the work: look at the clocks of both machines.")
    newest = await _newest(tx.connection, 1)
    finished_at = min(result.finished_at, tx.now)
    if newest and newest[0].finished_at >= finished_at:
        raise Conflict("What ended at the same time or later was reported already; look again and report that.")
    status: JobStatus = "success" if result.good else "critical" if result.backup_id else "warning"
    detail = result.model_dump(mode="json", exclude={"started_at", "finished_at"})
    run_id = await job_runs.next_run_id(tx)
    started_at = min(result.started_at, finished_at)
    await job_runs.record(
        tx, JOB, JobDone(status, detail), run_id=run_id, started_at=started_at, finished_at=finished_at
    )
    run = BackupRun(
        run_id=run_id, job_name=JOB, status=status, started_at=started_at, finished_at=finished_at, **detail
    )
    tx.emit(contract.backup_finished, run, subject=str(run_id), site=SITE)
    return run


async def _newest(source: asyncpg.Pool | Connection, limit: int) -> list[BackupRun]:
    rows = await source.fetch(SELECT_RUNS, JOB, SITE, limit)
    return [BackupRun(**_run(row)) for row in rows]


def _run(row: asyncpg.Record) -> dict[str, Any]:
    return {**row["detail"], **{name: row[name] for name in row.keys() if name != "detail"}}  # noqa: SIM118  a record


async def known(source: asyncpg.Pool | Connection) -> Known:
    """What the runbook goes by."""
    newest = await _newest(source, 1)
    good = await source.fetchval(SELECT_GOOD, JOB, SITE)
    since: datetime | None = await source.fetchval(SELECT_FIRST_CHECK, DAILY_CHECK, SITE)
    good_at = datetime.fromisoformat(good["recovery_point"]) if good else None
    return Known(newest[0] if newest else None, good_at, good["size_bytes"] if good else 0, since)


async def latest(read: Read, _params: Nothing) -> BackupRun:
    """The newest word. Raises `NotFound`."""
    found = await _newest(read.pool, 1)
    if not found:
        raise NotFound(
            "No backup is known yet; start the keeper on the installation's machine (headgate dr work), or make one: "
            "headgate backup create"
        )
    return found[0]


async def history(read: Read, wanted: BackupHistory) -> list[BackupRun]:
    """The newest words."""
    return await _newest(read.pool, wanted.limit)


async def duties(read: Read, _params: Nothing) -> KeeperDuties:
    """What waits for the keeper."""
    waiting = await rehearsals.pending(read, Nothing())
    found = await _newest(read.pool, 1)
    last = found[0] if found else None
    return KeeperDuties(
        rehearsal_count=waiting.count,
        last_backup_id=last.backup_id if last else None,
        last_good=last.good if last else None,
        last_finished_at=last.finished_at if last else None,
    )


TABLE = Table(
    commands={contract.report_backup: report},
    queries={
        contract.latest_backup: latest,
        contract.list_backups: history,
        contract.keeper_duties: duties,
    },
)
