"""Writes the log: a batch of events, or of records of commands, becomes one stretch of the chain and the tree, in the
transaction of the loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256

import asyncpg
import orjson
from prometheus_client import CollectorRegistry, Gauge

from libs.common.service import Batch, Connection, Delivered, Staged, Table
from services.audit import tree
from services.audit.domain.chain import extend
from services.audit.domain.content import VERSION, Added, Copies, added_of, copies_of
from services.audit.guard import Guard
from services.audit.tree import Head

SELECT_KNOWN = "SELECT event_id::text FROM entry WHERE event_id = ANY($1::uuid[])"
INSERT_ENTRIES = """
INSERT INTO entry (seq, prev_hash, hash, recorded_at, payload,
                   time, event_id, type, source, site, actor, subject, causationid, correlationid,
                   outcome, reason, issue, trace_id, client_address, client_agent, version)
SELECT seq, prev_hash, hash, $4, payload, time, event_id, type, source, site, actor, subject, causationid,
       correlationid, outcome, reason, issue, trace_id, client_address, client_agent, $21
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $5::bytea[], $6::timestamptz[], $7::uuid[], $8::text[], $9::text[],
            $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[],
            $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[])
  AS fresh (seq, prev_hash, hash, payload, time, event_id, type, source, site, actor, subject,
            causationid, correlationid, outcome, reason, issue, trace_id, client_address, client_agent)
"""
SELECT_HEAD_SEQ = "SELECT seq, tree_size FROM head"

HEAD_SEQ = Gauge("headgate_audit_head_seq", "Number of entries in the audit log")
TREE_SIZE = Gauge("headgate_audit_tree_size", "Number of entries in the Merkle tree of the audit log")

Found = tuple[bytes, Copies, Added]


async def append(
    connection: Connection, messages: Sequence[Delivered], now: datetime, guard: Guard | None = None
) -> Sequence[Staged]:
    """Add events, or records of commands, to the chain in order of arrival; ``now`` becomes their ``recorded_at``.

    Events that the log already holds are left out, so reading the whole stream anew is harmless. Raises ValueError for
    a message that is no event with a UUID as its id, and `LogForked` where ``guard`` refuses.
    """
    found = [_indexed(message, now) for message in messages]
    head = await tree.lock_head(connection)
    if guard is not None:
        await guard.admit(connection, head)
    try:
        async with connection.transaction():  # a savepoint: the index on event_id is the check for known events
            await _extend(connection, head, found, now, guard)
    except asyncpg.UniqueViolationError:
        known = await connection.fetch(SELECT_KNOWN, [copies.event_id for _, copies, _ in found])
        held = {row["event_id"] for row in known}
        await _extend(connection, head, [one for one in found if one[1].event_id not in held], now, guard)
    return ()


async def _extend(
    connection: Connection, head: Head, found: Sequence[Found], now: datetime, guard: Guard | None
) -> None:
    if not found:
        return
    start, payloads = head.link, [payload for payload, _, _ in found]
    hashed = [(len(payload), sha256(payload).digest()) for payload in payloads]
    links = extend(start, [digest for _, digest in hashed], now)
    grown = head.growth()
    if head.whole:  # else a worker takes older entries in first, and these in their turn
        grown.add(tree.digests(start, links, hashed, [(copies, added) for _, copies, added in found], now))
    await connection.execute(
        INSERT_ENTRIES,
        [link.seq for link in links],
        [link.hash for link in (start, *links[:-1])],
        [link.hash for link in links],
        now,
        payloads,
        *map(list, zip(*((*copies, *added) for _, copies, added in found), strict=True)),
        VERSION,
    )
    await tree.move(connection, links[-1], grown)
    if guard is not None:
        guard.expect(links[-1])


def _indexed(message: Delivered, now: datetime) -> Found:
    """The bytes to keep and their copies.

    An event in binary mode has its envelope in headers, so its bytes alone would say nothing: it is kept in structured
    form, and so is one whose attributes the log could not index as they are (a null for a text).
    """
    if message.event.document is not None:
        with contextlib.suppress(ValueError):
            return message.payload, copies_of(message.event.document, now), added_of(message.event.document)
    payload = message.event.encode()
    document = orjson.loads(payload)
    return payload, copies_of(document, now), added_of(document)


async def measure(pool: asyncpg.Pool, _registry: CollectorRegistry) -> None:
    """Set the gauges of the log's length."""
    row = await pool.fetchrow(SELECT_HEAD_SEQ)
    if row is not None:
        HEAD_SEQ.set(row["seq"])
        TREE_SIZE.set(row["tree_size"])


def table(guard: Guard) -> Table:
    """What this module answers."""
    return Table(batch=Batch(partial(append, guard=guard), ("events", "records")))
