"""The list of job runs: every service tells its own, and a gate's verdict is a run too."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event
from libs.common.contracts.governance.operations import GATE_JOB
from libs.common.contracts.governance.runs import GateDecided, gate_decided
from libs.common.contracts.jobs import JobRun, JobTrigger, job_event
from libs.common.contracts.metrics import job_runs as contract
from libs.common.contracts.metrics.job_runs import (
    MAX_COUNTED_DAYS,
    JobRunCount,
    JobRunCounts,
    JobRunFilter,
    JobRunWindow,
    ListedRun,
)
from libs.common.problems import Invalid
from libs.common.schedules import Schedule
from libs.common.service import EventHandler, Job, JobDone, Read, Table, Tx

KEPT = timedelta(days=400)
PRUNED_AT_ONCE = 50_000
MAX_REASONS = 20

# An upgraded installation may tell a gate run of before under a number that another service has taken: the first stays.
STORE = """
INSERT INTO told_run (id, service, site, job_name, trigger, actor, status, started_at, finished_at, parent_run,
    policy_version, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING
"""
_COLUMNS = listed(names_of(ListedRun))
LIST_ALL = f"""
SELECT {_COLUMNS} FROM told_run WHERE site = $1 ORDER BY finished_at DESC, id DESC LIMIT $2 OFFSET $3
"""  # noqa: S608 - names of our own
LIST_OF_JOB = f"""
SELECT {_COLUMNS} FROM told_run WHERE site = $1 AND job_name = $4 ORDER BY finished_at DESC, id DESC LIMIT $2 OFFSET $3
"""  # noqa: S608 - names of our own
# Over all sites; at most a month, so that it stays a matter of a second.
COUNT_RUNS = """
SELECT job_name, status, count(*) AS run_count FROM told_run WHERE finished_at >= $1 AND finished_at < $2
GROUP BY job_name, status ORDER BY job_name, status
"""
PRUNE = """
DELETE FROM told_run WHERE id = ANY (ARRAY(SELECT id FROM told_run WHERE finished_at < $1 LIMIT $2))
"""


async def on_job_finished(service: str, tx: Tx, run: JobRun) -> None:
    """Keep a run that a service tells. Raises `ValueError` if it names another site than its envelope."""
    if run.site != tx.site:
        raise ValueError(f"a run of the site {run.site!r} was told in the site {tx.site!r}")
    await _store(tx, service, run)


async def on_gate_decided(tx: Tx, data: GateDecided) -> None:
    """Keep a gate's run under its own number."""
    detail = {
        "gate": data.gate,
        "subject": data.subject,
        "version": data.version,
        "run_number": data.run_number,
        "decision": data.decision,
        "summary": data.summary.model_dump(),
        "reasons": data.reasons[:MAX_REASONS],
    }
    run = JobRun(
        run_id=data.run_id,
        job_name=GATE_JOB,
        site=tx.site,
        trigger=_trigger(data.trigger),
        actor=tx.actor,
        status=data.status,
        started_at=data.decided_at,
        finished_at=data.decided_at,
        detail=detail,
    )
    await _store(tx, "governance", run)


def _trigger(of_gate: str) -> JobTrigger:
    """A run that another service ordered was set off by something that happened there."""
    return "api" if of_gate == "api" else "schedule" if of_gate == "schedule" else "event"


async def _store(tx: Tx, service: str, run: JobRun) -> None:
    await tx.connection.execute(
        STORE, run.run_id, service, run.site, run.job_name, run.trigger, run.actor, run.status, run.started_at,
        run.finished_at, run.parent_run, run.policy_version, run.detail,
    )  # fmt: skip


async def list_job_runs(read: Read, wanted: JobRunFilter) -> list[ListedRun]:
    """Runs in a site, newest first."""
    place = (read.site, wanted.limit, wanted.offset)
    rows: list[asyncpg.Record]
    if wanted.job_name is None:
        rows = await read.pool.fetch(LIST_ALL, *place)
    else:
        rows = await read.pool.fetch(LIST_OF_JOB, *place, wanted.job_name)
    return [ListedRun(**dict(row)) for row in rows]


async def count_job_runs(read: Read, wanted: JobRunWindow) -> JobRunCounts:
    """How often each job ended how, over all sites. Raises `Invalid` for a window that is too long."""
    if wanted.until - wanted.since > timedelta(days=MAX_COUNTED_DAYS):
        raise Invalid(f"runs are counted over at most {MAX_COUNTED_DAYS} days at a time")
    rows = await read.pool.fetch(COUNT_RUNS, wanted.since, wanted.until)
    return JobRunCounts(kept_since=read.now - KEPT, counts=[JobRunCount(**dict(row)) for row in rows])


async def prune_job_runs(tx: Tx) -> JobDone | None:
    """Forget runs older than 400 days, at most 50,000 at a time; the audit log keeps what was told of them."""
    status = await tx.connection.execute(PRUNE, tx.now - KEPT, PRUNED_AT_ONCE)
    removed_count = int(status.rpartition(" ")[2])
    return JobDone(detail={"removed_count": removed_count}) if removed_count else None


_TOLD: dict[Event, EventHandler] = {
    CONTRACTS[service].by_name[job_event(service).name]: partial(on_job_finished, service)  # type: ignore[misc]
    for service in CONTRACTS
}
TABLE = Table(
    queries={contract.list_job_runs: list_job_runs, contract.count_job_runs: count_job_runs},
    events={gate_decided: on_gate_decided, **_TOLD},
    jobs=(Job("prune_job_runs", Schedule("27 1 * * *"), prune_job_runs),),
)
