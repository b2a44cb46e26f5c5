"""Recomputes the chain from the stored rows, in bounded memory and without holding up other questions; and compares the
newest checkpoint with the tree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson

from libs.common.contracts.audit import chain as contract
from libs.common.contracts.audit.chain import Verification, VerifyRange
from libs.common.problems import Invalid, TooMany, Unavailable
from libs.common.service import Connection, Read, Table
from libs.tlog.notes import Signer
from libs.tlog.tiles import WIDTH
from services.audit import tree
from services.audit.covers import Covers, StillOnItsWay
from services.audit.domain.chain import GENESIS, Fault, Link, Row, Walk, check, check_end, check_link
from services.audit.guard import StillFilling
from services.audit.signed import newest_fault

CHUNK_ROWS = 500  # about 3 ms of work between two turns of the event loop
INLINE_BYTES = 64 * 1024  # larger payloads are fetched one at a time, so a chunk is never above 32 MB

SELECT_HEAD = "SELECT seq, hash FROM head"
SELECT_LAST = "SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1"
SELECT_LINK = "SELECT seq, hash FROM entry WHERE seq = $1"
# The columns of chain.Row.
SELECT_ROWS = f"""
SELECT seq, recorded_at, prev_hash, hash, CASE WHEN octet_length(payload) <= {INLINE_BYTES} THEN payload END AS payload,
       version, time, event_id::text, type, source, site, actor, subject, causationid::text, correlationid::text,
       outcome, reason, issue, trace_id, client_address, client_agent
FROM entry WHERE seq BETWEEN $1 AND $2 ORDER BY seq
"""  # noqa: S608 - a constant of ours
SELECT_PAYLOAD = "SELECT payload FROM entry WHERE seq = $1"
SELECT_ERASED = "SELECT seq, payload_bytes, payload_sha256, erased_at FROM erasure WHERE seq BETWEEN $1 AND $2"

_PAYLOAD = 4  # its place in SELECT_ROWS
_busy = asyncio.Lock()


async def verify_chain(signer: Signer | None, read: Read, wanted: VerifyRange) -> Verification:
    """Check ``limit`` entries from ``from_seq`` on, and always that the log ends where its head says, and that the
    newest checkpoint is signed by a key of the log and is of the very tree that is stored.

    One snapshot of the database: entries written meanwhile do not disturb. A process runs one check at a time.
    Raises `Invalid` when ``from_seq`` lies behind the end, `TooMany` while another check runs, `Unavailable` while it
    can't be told whether a body was removed rightly.
    """
    if _busy.locked():
        raise TooMany("A verification is running already; ask again in a few seconds.")
    async with _busy, read.pool.acquire() as connection:  # noqa: SIM117 - the transaction needs the connection
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = _link(await connection.fetchrow(SELECT_HEAD))
            last = _link(await connection.fetchrow(SELECT_LAST))
            if wanted.from_seq > max(head.seq, last.seq, 1):
                raise Invalid(f"from_seq is behind the end of the log, which is {head.seq}.")
            try:
                walk = await _walk(connection, wanted, last)
            except StillOnItsWay as error:
                raise Unavailable(
                    f"Whether this holds can't be told yet: {error}, and the entry that says so has not arrived. Ask "
                    "again in a minute."
                ) from None
            fault = walk.fault or check_end(last, head)
            try:
                size, unsigned = (None, None) if fault else await newest_fault(connection, signer)
            except StillFilling as error:
                raise Unavailable(f"Whether this holds can't be told yet: {error}. Ask again in a minute.") from None
    more = fault is None and unsigned is None and walk.end.seq < head.seq
    return Verification(
        valid=fault is None and unsigned is None,
        checked_count=walk.checked_count,
        from_seq=wanted.from_seq,
        to_seq=walk.end.seq,
        head_seq=head.seq,
        head_hash=head.hash.hex(),
        first_bad_seq=fault.seq if fault else None,
        problem=fault.problem if fault else unsigned,
        checkpoint_size=size,
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
    walk, covers = Walk(start, 0), Covers(connection)
    cursor = await connection.cursor(SELECT_ROWS, wanted.from_seq, to_seq)
    rows = await cursor.fetch(CHUNK_ROWS)
    while rows:
        if any(row[_PAYLOAD] is None for row in rows):
            step = await _check_large(connection, covers, rows, walk.end)
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


async def _check_large(connection: Connection, covers: Covers, rows: list[Any], start: Link) -> Walk:
    """Check a chunk entry by entry: payloads that were too large to come along are fetched, and removed ones may be
    missing only where the log says so, with all that was shown of the entry still what the tree holds.
    """
    walk = Walk(start, 0)
    erased = {row["seq"]: row for row in await connection.fetch(SELECT_ERASED, rows[0][0], rows[-1][0])}
    bundles: dict[int, bytes] = {}
    for row in rows:
        fields = list(row)
        seq = fields[0]
        if fields[_PAYLOAD] is None and seq in erased:
            if (number := (seq - 1) // WIDTH) not in bundles:
                bundles = {number: await tree.entry_digests(connection, number) or b""}
            step = await _check_erased(fields, erased[seq], bundles[number], walk.end, covers)
        else:
            if fields[_PAYLOAD] is None:
                fields[_PAYLOAD] = await connection.fetchval(SELECT_PAYLOAD, seq)
            step = (
                Walk(walk.end, 0, Fault(seq, f"entry {seq} has no body, and nothing says that it was removed"))
                if fields[_PAYLOAD] is None
                else check((fields,), walk.end, orjson.loads)
            )
        walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
        if walk.fault is not None:
            break
    return walk


async def _check_erased(fields: Sequence[Any], erased: Any, digests: bytes, start: Link, covers: Covers) -> Walk:
    """Check an entry without its body: its link by the hash that was kept, what is shown of it by the signed tree, and
    that the log itself says that the body has gone. Raises `StillOnItsWay`.
    """
    step = check_link(Row(*fields), erased["payload_sha256"], start)
    if step.fault is not None:
        return step
    seq = fields[0]
    at = (seq - 1) % WIDTH * 32
    if tree.digest_of(fields, erased["payload_bytes"], erased["payload_sha256"]) != digests[at : at + 32]:
        return Walk(start, 0, Fault(seq, f"entry {seq} was changed: its digest is not that of the tree"))
    fault = await covers.fault(fields, erased["erased_at"])
    return step if fault is None else Walk(start, 0, fault)


def table(signer: Signer | None) -> Table:
    """What this module answers."""
    return Table(queries={contract.verify_chain: partial(verify_chain, signer)})
