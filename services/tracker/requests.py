"""Gate runs that a board asks for: sent as a command, remembered until the run's event comes back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.common.contracts.governance.runs import GateTarget, gate_decided, run_gate
from libs.common.contracts.tracker.board import SyncBody
from libs.common.contracts.tracker.completion import CompleteBody
from libs.common.problems import Invalid
from libs.common.service import Deferred, Tx
from services.tracker.board import CALENDAR_LOCK, Head, lock_board, to_head

SITE_GATE = "operations"
SITE_SUBJECT = "site"

PRUNE_REQUESTS = "DELETE FROM run_request WHERE requested_at < $1::timestamptz - interval '1 day'"
SAVE_REQUEST = """
INSERT INTO run_request (request_id, purpose, actor, include_warnings, max_items, requested_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
FIND_REQUEST = "SELECT * FROM run_request WHERE request_id = $1"
# A request is committed before its run is asked for, so it may be read as it was when the statement began.
LOCK_FOR_RUN = f"""
SELECT board, run_request, pg_advisory_xact_lock_shared({CALENDAR_LOCK})
FROM board LEFT JOIN run_request ON request_id = $4
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $5
FOR UPDATE OF board
"""  # noqa: S608 - a number of our own
COUNT_REQUEST = """
UPDATE run_request SET created_count = $2, reopened_count = $3, resolved_count = $4 WHERE request_id = $1
"""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run asked for by a sync or a completion: what it may open, and (after it was applied) what came of it."""

    request_id: UUID
    purpose: str
    actor: str
    include_warnings: bool
    max_items: int | None
    requested_at: datetime
    created_count: int
    reopened_count: int
    resolved_count: int


_COLUMNS = tuple(one.name for one in fields(RunRequest))


async def request_run(tx: Tx, body: SyncBody | CompleteBody) -> Deferred:
    """Ask governance for a fresh run of the board's gate; the command ends when that run has been applied here.

    Raises `Invalid` if the target does not fit the gate.
    """
    request_id = tx.send(run_gate, _target(body))
    purpose, include_warnings, max_items = (
        ("sync", body.include_warnings, body.max_items) if isinstance(body, SyncBody) else ("complete", True, None)
    )
    await tx.connection.execute(PRUNE_REQUESTS, tx.now)
    await tx.connection.execute(SAVE_REQUEST, request_id, purpose, tx.actor, include_warnings, max_items, tx.now)
    return Deferred(on=gate_decided, causes=(request_id,), state={"request_id": str(request_id)})


def _target(body: SyncBody | CompleteBody) -> GateTarget:
    if body.gate == SITE_GATE:
        if body.subject != SITE_SUBJECT or body.version is not None or body.line:
            raise Invalid(
                f"The gate {SITE_GATE} judges the whole site: leave out subject and version, and a line, too."
            )
        return GateTarget(gate=body.gate)
    if body.subject == SITE_SUBJECT or body.version is None:
        raise Invalid(f"The gate {body.gate} judges a version of a software: send subject and version.")
    return GateTarget(gate=body.gate, subject=body.subject, version=body.version, line=body.line or None)


async def find_request(tx: Tx, request_id: str) -> RunRequest | None:
    """The board's request with this id, or None if somebody else asked for the run."""
    key = _key(request_id)
    return _request(await tx.connection.fetchrow(FIND_REQUEST, key)) if key is not None else None


async def lock_for_run(tx: Tx, gate: str, subject: str, line: str, request_id: str) -> tuple[Head, RunRequest | None]:
    """A board's head as `lock_board` gives it, and the request that a run's event names as its cause."""
    row = await tx.connection.fetchrow(LOCK_FOR_RUN, tx.site, gate, subject, _key(request_id), line)
    if row is None:
        return await lock_board(tx, gate, subject, line), await find_request(tx, request_id)
    return to_head(row["board"]), _request(row["run_request"])


def _key(request_id: str) -> UUID | None:
    try:
        return UUID(request_id)
    except ValueError:
        return None


def _request(row: asyncpg.Record | None) -> RunRequest | None:
    return RunRequest(**{name: row[name] for name in _COLUMNS}) if row is not None else None


async def count_request(tx: Tx, request: RunRequest, created: int, reopened: int, resolved: int) -> None:
    """Remember what the run did to the board, for the answer to whoever asked."""
    await tx.connection.execute(COUNT_REQUEST, request.request_id, created, reopened, resolved)
