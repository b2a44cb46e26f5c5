"""Begins verifications, by a person or by the clock, and says how far they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg
from prometheus_client import Gauge

from libs.common.contracts.audit import verifications as contract
from libs.common.contracts.audit.verifications import (
    JOB,
    Mode,
    VerificationFilter,
    VerificationNumber,
    VerificationRun,
    VerificationStart,
)
from libs.common.contracts.base import Page
from libs.common.problems import Conflict, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.audit.domain.chain import GENESIS

WHOLE_BELOW = 1_000_000  # entries that the weekly job recomputes as a whole each time
WEEKLY = Schedule("23 3 * * 0")

_COLUMNS = """number, mode, status, from_size, total, checked, checkpoint_count, first_bad_seq, problem, started_by,
       started_at, updated_at, finished_at"""
# Two that begin at once wait for each other here; the second then sees the first.
LOCK_NUMBERS = "SELECT pg_advisory_xact_lock(hashtext('audit verification'))"
SELECT_END = """
SELECT coalesce((SELECT seq FROM head), 0) AS head_seq, coalesce((SELECT tree_size FROM head), 0) AS tree_size,
       coalesce((SELECT seq FROM entry ORDER BY seq DESC LIMIT 1), 0) AS last_seq
"""
SELECT_RUNNING = "SELECT number FROM verification WHERE status = 'running'"
SELECT_VERIFIED = """
SELECT total, last_hash, edges FROM verification WHERE status = 'valid' ORDER BY number DESC LIMIT 1
"""
INSERT_VERIFICATION = f"""
INSERT INTO verification (number, mode, from_size, checked, total, last_hash, edges, started_by, started_at, updated_at)
SELECT coalesce((SELECT number FROM verification ORDER BY number DESC LIMIT 1), 0) + 1, $1, $2, $2, $3, $4, $5, $6, $7,
       $7
RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own
SELECT_PAGE = f"""
SELECT {_COLUMNS} FROM verification WHERE number < $1 ORDER BY number DESC LIMIT $2
"""  # noqa: S608 - names of our own
SELECT_ONE = f"SELECT {_COLUMNS} FROM verification WHERE number = $1"  # noqa: S608 - names of our own
# What is broken stays so until a whole verification is valid: an incremental one does not look there again.
SELECT_BROKEN = """
SELECT number, problem FROM verification WHERE status = 'broken' AND number > coalesce(
    (SELECT max(number) FROM verification WHERE status = 'valid' AND mode = 'whole'), 0)
ORDER BY number DESC LIMIT 1
"""
SELECT_SINCE = """
SELECT coalesce((SELECT max(finished_at) FROM verification WHERE status = 'valid'),
                (SELECT recorded_at FROM entry ORDER BY seq LIMIT 1), now()) AS since
"""

BROKEN = Gauge(
    "headgate_audit_verification_broken",
    "1 from a verification of the audit log that found it broken, until a whole one is valid",
)
VERIFIED_AT = Gauge(
    "headgate_audit_verified_timestamp_seconds",
    "When the newest valid verification of the audit log ended; before the first one: when the log began",
)


class _End(NamedTuple):
    """Where head, tree and entries end."""

    head_seq: int
    tree_size: int
    last_seq: int


def view(row: Any) -> VerificationRun:
    """A stored verification as it is shown."""
    fields = dict(row)
    from_size, total, checked = (fields.pop(name) for name in ("from_size", "total", "checked"))
    return VerificationRun(
        **fields,
        from_seq=from_size + 1,
        to_seq=total,
        total_count=total - from_size,
        checked_count=checked - from_size,
        verified_seq=checked,
    )


async def start(tx: Tx, body: VerificationStart) -> VerificationRun:
    """Begin one. Raises `Conflict` while another runs, and while there is nothing that could be verified."""
    return await _begin(tx, body.mode, tx.actor, await _end(tx.connection))


async def start_by_clock(tx: Tx) -> JobDone | None:
    """Begin the weekly one: of a large log a whole one in the first week of a month only. None: the log is empty."""
    end = await _end(tx.connection)
    if not end.last_seq:
        return None
    mode: Mode = "whole" if end.last_seq <= WHOLE_BELOW or tx.now.day <= 7 else "incremental"
    try:
        begun = await _begin(tx, mode, "service:audit", end)
    except Conflict as refusal:
        return JobDone("warning", {"mode": mode, "problem": refusal.detail})
    return JobDone(detail={"number": begun.number, "mode": mode, "total_count": begun.total_count})


async def _end(connection: Connection) -> _End:
    return _End(*(await connection.fetchrow(SELECT_END) or (0, 0, 0)))


async def _begin(tx: Tx, mode: Mode, actor: str, end: _End) -> VerificationRun:
    connection = tx.connection
    await connection.execute(LOCK_NUMBERS)
    if (number := await connection.fetchval(SELECT_RUNNING)) is not None:
        raise Conflict(f"Verification {number} is running; GET /api/audit/verifications/{number} says how far it is.")
    if not end.head_seq and not end.last_seq:
        raise Conflict("The log has no entries yet: there is nothing to verify.")
    if 0 < end.tree_size < end.head_seq:
        raise Conflict("Entries are still being taken into the tree; ask again in a minute.")
    from_size, last_hash, edges = 0, GENESIS, []
    if mode == "incremental" and (before := await connection.fetchrow(SELECT_VERIFIED)) is not None:
        from_size, last_hash, edges = before
    # Where the log is shorter than what was verified before, the missing entries are looked for, and named.
    total = max(end.head_seq or end.last_seq, from_size)
    row = await connection.fetchrow(INSERT_VERIFICATION, mode, from_size, total, last_hash, edges, actor, tx.now)
    return view(row)


async def list_verifications(read: Read, wanted: VerificationFilter) -> Page[VerificationRun]:
    """A page, newest first."""
    rows = await read.pool.fetch(SELECT_PAGE, wanted.cursor or 2**62 + 1, wanted.limit + 1)
    shown = [view(row) for row in rows[: wanted.limit]]
    more = len(rows) > wanted.limit
    return Page[VerificationRun](items=shown, next_cursor=str(shown[-1].number) if more else None)


async def get_verification(read: Read, wanted: VerificationNumber) -> VerificationRun:
    """One of them. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_ONE, wanted.number)
    if row is None:
        raise NotFound(f"There is no verification {wanted.number}; GET /api/audit/verifications lists them.")
    return view(row)


async def standing(pool: asyncpg.Pool) -> str | None:
    """What was found that does not fit and still stands, as a sentence; None: nothing."""
    row = await pool.fetchrow(SELECT_BROKEN)
    return f"verification {row['number']}: {row['problem']}" if row else None


async def measure(pool: asyncpg.Pool) -> None:
    """Set the gauges out of the table, so that neither a restart nor silence takes back what was found."""
    BROKEN.set(await standing(pool) is not None)
    VERIFIED_AT.set((await pool.fetchval(SELECT_SINCE)).timestamp())


TABLE = Table(
    commands={contract.start_verification: start},
    queries={contract.list_verifications: list_verifications, contract.get_verification: get_verification},
    jobs=(Job(JOB, WEEKLY, start_by_clock, looks=True),),
)
