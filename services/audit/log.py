"""Writes the log: one batch of events becomes one stretch of the chain, in the transaction of the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import orjson
from prometheus_client import CollectorRegistry, Gauge

from libs.common.service import Batch, Connection, Delivered, Staged, Table
from services.audit.domain.chain import Copies, Link, copies_of, extend

# The lock makes the writer the only one: a second replica waits here and then continues behind the first.
LOCK_HEAD = "SELECT seq, hash FROM head FOR UPDATE"
SELECT_KNOWN = "SELECT event_id::text FROM entry WHERE event_id = ANY($1::uuid[])"
INSERT_ENTRIES = """
INSERT INTO entry (seq, prev_hash, hash, recorded_at, payload,
                   time, event_id, type, source, site, actor, subject, causationid, correlationid)
SELECT seq, prev_hash, hash, $4, payload, time, event_id, type, source, site, actor, subject, causationid, correlationid
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $5::bytea[], $6::timestamptz[], $7::uuid[], $8::text[], $9::text[],
            $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[])
  AS fresh (seq, prev_hash, hash, payload, time, event_id, type, source, site, actor, subject,
            causationid, correlationid)
"""
MOVE_HEAD = "UPDATE head SET seq = $1, hash = $2"
SELECT_HEAD_SEQ = "SELECT seq FROM head"

HEAD_SEQ = Gauge("headgate_audit_head_seq", "Number of entries in the audit log")


async def append(connection: Connection, messages: Sequence[Delivered], now: datetime) -> Sequence[Staged]:
    """Add events to the chain in order of arrival; ``now`` becomes their ``recorded_at``.

    Events that the log already holds are left out, so reading the whole stream anew is harmless. Raises ValueError for
    a message that is no event with a UUID as its id.
    """
    found = [_indexed(message, now) for message in messages]
    head = await connection.fetchrow(LOCK_HEAD)
    if head is None:
        raise LookupError("the table head is empty: the log was tampered with or badly restored")
    start = Link(head["seq"], head["hash"])
    try:
        async with connection.transaction():  # a savepoint: the index on event_id is the check for known events
            await _extend(connection, start, found, now)
    except asyncpg.UniqueViolationError:
        known = await connection.fetch(SELECT_KNOWN, [copies.event_id for _, copies in found])
        held = {row["event_id"] for row in known}
        await _extend(connection, start, [one for one in found if one[1].event_id not in held], now)
    return ()


async def _extend(connection: Connection, start: Link, found: Sequence[tuple[bytes, Copies]], now: datetime) -> None:
    if not found:
        return
    payloads = [payload for payload, _ in found]
    links = extend(start, payloads, now)
    await connection.execute(
        INSERT_ENTRIES,
        [link.seq for link in links],
        [link.hash for link in (start, *links[:-1])],
        [link.hash for link in links],
        now,
        payloads,
        *map(list, zip(*(copies for _, copies in found), strict=True)),
    )
    await connection.execute(MOVE_HEAD, *links[-1])


def _indexed(message: Delivered, now: datetime) -> tuple[bytes, Copies]:
    """The bytes to keep and their copies.

    An event in binary mode has its envelope in headers, so its bytes alone would say nothing: it is kept in structured
    form, and so is one whose attributes the log could not index as they are (a null for a text).
    """
    if message.event.document is not None:
        with contextlib.suppress(ValueError):
            return message.payload, copies_of(message.event.document, now)
    payload = message.event.encode()
    return payload, copies_of(orjson.loads(payload), now)


async def measure(pool: asyncpg.Pool, _registry: CollectorRegistry) -> None:
    """Set the gauge of the log's length."""
    HEAD_SEQ.set(await pool.fetchval(SELECT_HEAD_SEQ))


TABLE = Table(batch=Batch(append))
