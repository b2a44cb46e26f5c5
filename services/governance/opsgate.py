"""The operations gate in the shapes of the facility system, for its callers."""

from __future__ import annotations

from functools import partial
from typing import Any

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance import operations as contract
from libs.common.contracts.governance.operations import (
    HistoryLimit,
    OpsGate,
    OpsGateHistory,
    OpsGateRow,
    OpsGateRun,
    OpsRule,
)
from libs.common.contracts.governance.runs import GateTarget
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, Read, Table, Tx
from libs.judge.policy import settings_view
from services.governance.catalog import Catalog
from services.governance.gate import look, summary_of
from services.governance.runs import Judging, run_asked, run_on_schedule

OPERATIONS = "operations"

SELECT_SITES = "SELECT DISTINCT site FROM gate_heads WHERE gate = $1 ORDER BY site"
SELECT_LATEST = "SELECT * FROM runs WHERE gate = $1 AND site = $2 ORDER BY run_id DESC LIMIT 1"
SELECT_HISTORY = """
SELECT run_id, status, decision, (summary ->> 'failure_count')::integer AS failure_count,
    (summary ->> 'warning_count')::integer AS warning_count, decided_at AS finished_at
FROM runs WHERE gate = $1 AND site = $2 ORDER BY run_id DESC LIMIT $3
"""


async def ops_gate(catalog: Catalog, read: Read, _params: Nothing) -> OpsGate:
    """Judge now without storing a run."""
    policy = (await catalog.in_force(read.pool, OPERATIONS, read.site)).both
    target = await catalog.target(read.pool, GateTarget(gate=OPERATIONS), read.site)
    verdict = (await look(read.pool, policy, target, read.now)).verdict
    return OpsGate(
        generated_at=read.now,
        decision=verdict.decision,
        summary=summary_of(verdict),
        rules=[OpsRule.model_validate(rule, from_attributes=True) for rule in verdict.rules],
        policy=settings_view(policy),
    )


async def ops_gate_run(judging: Judging, tx: Tx, _body: Nothing) -> OpsGateRun:
    """Run the gate and store the verdict."""
    target = await judging.catalog.target(tx.connection, GateTarget(gate=OPERATIONS), tx.site)
    return _with_envelope(await run_asked(judging, tx, target))


def _with_envelope(row: asyncpg.Record | dict[str, Any]) -> OpsGateRun:
    # A verdict is made at one moment, so a run starts and finishes when it is decided.
    envelope = {
        "run_id": row["run_id"],
        "trigger": row["trigger"],
        "status": row["status"],
        "started_at": row["decided_at"],
        "finished_at": row["decided_at"],
        "generated_at": row["decided_at"],
        "decision": row["decision"],
        "summary": row["summary"],
        "rules": row["rules"],
        "policy": row["settings"],
    }
    return OpsGateRun.model_validate(envelope, from_attributes=True)


async def ops_gate_latest(catalog: Catalog, read: Read, _params: Nothing) -> OpsGateRun:
    """The newest run, read back as it was stored. Raises `NotFound` if the gate never ran in this site."""
    await catalog.check(read.pool, OPERATIONS, read.site)
    row = await read.pool.fetchrow(SELECT_LATEST, OPERATIONS, read.site)
    if row is None:
        raise NotFound("The operations gate never ran in this site; run it with POST /api/ops/governance/gate/run.")
    return _with_envelope(row)


async def ops_gate_history(catalog: Catalog, read: Read, wanted: HistoryLimit) -> OpsGateHistory:
    """The newest runs, newest first."""
    await catalog.check(read.pool, OPERATIONS, read.site)
    rows = await read.pool.fetch(SELECT_HISTORY, OPERATIONS, read.site, wanted.limit)
    items = [OpsGateRow.model_validate(dict(row)) for row in rows]
    return OpsGateHistory(generated_at=read.now, count=len(items), items=items)


async def judged_sites(connection: Connection) -> list[str]:
    """The sites in which the operations gate has been run before: its daily run begins when somebody has begun."""
    return [row["site"] for row in await connection.fetch(SELECT_SITES, OPERATIONS)]


async def run_daily(judging: Judging, tx: Tx) -> None:
    """Run the operations gate of a site; the run is its own record."""
    target = await judging.catalog.target(tx.connection, GateTarget(gate=OPERATIONS), tx.site)
    await run_on_schedule(judging, tx, target)


def _daily(judging: Judging) -> Job:
    return Job(contract.GATE_JOB, Schedule("45 0 * * *"), partial(run_daily, judging), judged_sites, keeps_record=True)


def table(judging: Judging) -> Table:
    """What this module answers, by the policies of the catalog."""
    catalog = judging.catalog
    return Table(
        commands={contract.ops_gate_run: partial(ops_gate_run, judging)},
        queries={
            contract.ops_gate: partial(ops_gate, catalog),
            contract.ops_gate_latest: partial(ops_gate_latest, catalog),
            contract.ops_gate_history: partial(ops_gate_history, catalog),
        },
        jobs=(_daily(judging),) if OPERATIONS in catalog.policies else (),
    )
