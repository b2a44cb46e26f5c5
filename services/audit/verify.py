"""Recomputes the chain from the stored rows, in bounded memory and without holding up other questions."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from libs.common.contracts.audit import chain as contract
from libs.common.contracts.audit.chain import Verification, VerifyRange
from libs.common.problems import Invalid, TooMany
from libs.common.service import Connection, Read, Table
from services.audit.domain.chain import GENESIS, Fault, Link, Walk, check, check_end

CHUNK_ROWS = 500  # about 3 ms of work between two turns of the event loop
INLINE_BYTES = 64 * 1024  # larger payloads are fetched one at a time, so a chunk is never above 32 MB

SELECT_HEAD = "SELECT seq, hash FROM head"
SELECT_LAST = "SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1"
SELECT_LINK = "SELECT seq, hash FROM entry WHERE seq = $1"
# The columns of chain.Row.
SELECT_ROWS = f"""
SELECT seq, recorded_at, prev_hash, hash, CASE WHEN octet_length(payload) <= {INLINE_BYTES} THEN payload END AS payload,
       time, event_id::text, type, source, site, actor, subject, causationid::text, correlationid::text
FROM entry WHERE seq BETWEEN $1 AND $2 ORDER BY seq
"""  # noqa: S608 - a constant of ours
SELECT_PAYLOAD = "SELECT payload FROM entry WHERE seq = $1"

_PAYLOAD = 4  # its place in SELECT_ROWS
_busy = asyncio.Lock()


async def verify_chain(read: Read, wanted: VerifyRange) -> Verification:
    """Check ``limit`` entries from ``from_seq`` on, and always that the log ends where its head says.

    One snapshot of the database: entries written meanwhile do not disturb. A process runs one check at a time.
    Raises `Invalid` when ``from_seq`` lies behind the end, `TooMany` while another check runs.
    """
    if _busy.locked():
        raise TooMany("A verification is running already; ask again in a few seconds.")
    async with _busy, read.pool.acquire() as connection:  # noqa: SIM117 - the transaction needs the connection
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = _link(await connection.fetchrow(SELECT_HEAD))
            last = _link(await connection.fetchrow(SELECT_LAST))
            if wanted.from_seq > max(head.seq, last.seq, 1):
                raise Invalid(f"from_seq is behind the end of the log, which is {head.seq}.")
            walk = await _walk(connection, wanted, last)
            fault = walk.fault or check_end(last, head)
    more = fault is None and walk.end.seq < head.seq
    return Verification(
        valid=fault is None,
        checked_count=walk.checked_count,
        from_seq=wanted.from_seq,
        to_seq=walk.end.seq,
        head_seq=head.seq,
        head_hash=head.hash.hex(),
        first_bad_seq=fault.seq if fault else None,
        problem=fault.problem if fault else None,
        next_seq=walk.end.seq + 1 if more else None,
        verified_at=read.now,
    )


def _link(row: Any) -> Link:
    """An empty log, or a head row that is gone, reads as the genesis; `check_end` then finds the contradiction."""
    return Link(row["seq"], row["hash"]) if row else Link(0, GENESIS)


async def _walk(connection: Connection, wanted: VerifyRange, last: Link) -> Walk:
    to_seq = wanted.from_seq + wanted.limit - 1
    start = Link(0, GENESIS)
    if wanted.from_seq > 1:
        before = wanted.from_seq - 1
        row = await connection.fetchrow(SELECT_LINK, before)
        if row is None:
            return Walk(Link(before - 1, GENESIS), 0, Fault(before, f"entry {before} is missing"))
        start = _link(row)
    walk = Walk(start, 0)
    cursor = await connection.cursor(SELECT_ROWS, wanted.from_seq, to_seq)
    rows = await cursor.fetch(CHUNK_ROWS)
    while rows:
        if any(row[_PAYLOAD] is None for row in rows):
            step = await _check_large(connection, rows, walk.end)
            rows = await cursor.fetch(CHUNK_ROWS)
        else:
            ahead = asyncio.create_task(cursor.fetch(CHUNK_ROWS))
            await asyncio.sleep(0)  # Postgres reads the next chunk while this one is hashed
            step = check(rows, walk.end, orjson.loads)
            rows = await ahead
        walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
        if walk.fault is not None:
            return walk
    if walk.end.seq < min(to_seq, last.seq):
        missing = walk.end.seq + 1
        return Walk(walk.end, walk.checked_count, Fault(missing, f"entry {missing} is missing"))
    return walk


async def _check_large(connection: Connection, rows: list[Any], start: Link) -> Walk:
    """Check a chunk entry by entry, fetching the payloads that were too large to come along."""
    walk = Walk(start, 0)
    for row in rows:
        fields = list(row)
        if fields[_PAYLOAD] is None:
            fields[_PAYLOAD] = await connection.fetchval(SELECT_PAYLOAD, fields[0])
        step = check((fields,), walk.end, orjson.loads)
        walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
        if walk.fault is not None:
            break
    return walk


TABLE = Table(queries={contract.verify_chain: verify_chain})
