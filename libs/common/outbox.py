"""The outbox: what a transaction says leaves only if it commits, and leaves even if we crash right after.

One relay per service (an advisory lock) sends unsent rows as atomic batches, woken by its own process at once, by
other replicas over NOTIFY, and by a poll that covers crashes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import nats.errors

from libs.common import series
from libs.common.bus import BATCH_BYTES, BATCH_MESSAGES, DUPLICATE_IN_BATCH, NATS_ERRORS, BatchRefused, Bus, Outgoing
from libs.common.postgres import UNREACHABLE
from libs.common.service import Connection, Staged
from libs.common.telemetry import log, sending
from libs.common.topology import subject_of

INSERT = """
INSERT INTO outbox (message_id, kind, name, site, payload)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])
"""
# Up to $1 rows and about $2 bytes: what is not sent in this round is not read in it either.
SELECT_UNSENT = """
SELECT outbox.id, message_id, kind, name, site, payload FROM outbox JOIN (
    SELECT id, sum(octet_length(payload)) OVER (ORDER BY id) - octet_length(payload) AS before_bytes
    FROM (SELECT id, payload FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT $1) AS unsent
) AS sized USING (id)
WHERE before_bytes < $2 ORDER BY outbox.id
"""
# Not worth waiting for the disk: a mark that a crash loses only sends its rows once more.
MARK_SENT = """
WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE outbox SET sent_at = now() FROM lazily WHERE outbox.id = ANY ($1::bigint[])
"""
DEPTH = "SELECT count(*) AS depth, min(created_at) AS oldest FROM outbox WHERE sent_at IS NULL"
PRUNE = "DELETE FROM outbox WHERE sent_at < $1"
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '.outbox', 0))"
_POLL_S = 1.0
# How long to wait for an acknowledgement, longer after each one that did not come. What is sent while a cluster has no
# leader is never answered: waiting 10 s for it twice was most of the 22 s after a leader was paused. To send again too
# early costs no more than a repeat that is dropped.
PATIENCE_S = (2.0, 3.0, 5.0)

AWAY: tuple[type[BaseException], ...] = (*UNREACHABLE, *NATS_ERRORS, BatchRefused)


async def stage(connection: Connection, staged: Sequence[Staged]) -> None:
    """Put messages into the outbox, in the transaction that is open on the connection."""
    if staged:
        await connection.execute(INSERT, *columns(staged))


def columns(staged: Sequence[Staged]) -> Iterator[list[Any]]:
    """The values of `INSERT`."""
    return map(list, zip(*((s.message_id, s.kind, s.name, s.site, s.payload) for s in staged), strict=True))


class Relay:
    """Sends a service's outbox. Replicas without the lock stand by and only pass their nudges on."""

    def __init__(self, pool: asyncpg.Pool, bus: Bus, service: str) -> None:
        self._pool, self._bus, self._service = pool, bus, service
        self._wake = asyncio.Event()
        self._stopping = False
        self._unanswered = 0

    def nudge(self) -> None:
        """Say that rows were committed."""
        self._wake.set()

    async def stop(self) -> None:
        """Let the relay send what is there and end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until stopped: hold a connection, try for the lock, send. Starts over when Postgres or NATS was away."""
        while not self._stopping:
            try:
                async with self._pool.acquire() as connection:
                    await self._serve(connection)
            except AWAY as error:
                log.warning("outbox relay waits", error=repr(error))
                await asyncio.sleep(0.5)

    async def _serve(self, connection: Any) -> None:
        channel = f"{self._service}_outbox"

        def heard(*_: object) -> None:
            self._wake.set()

        await connection.add_listener(channel, heard)
        leader = False
        try:
            while True:
                if not leader:
                    leader = bool(await connection.fetchval(TRY_LOCK))
                self._wake.clear()
                if leader:
                    while await self._send_some(connection):
                        pass
                if self._stopping:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _POLL_S)
                    if not leader:
                        # Another replica holds the lock: pass the news on (many nudges become one).
                        await connection.execute("SELECT pg_notify($1, '')", channel)
        finally:
            with contextlib.suppress(*UNREACHABLE):
                await connection.remove_listener(channel, heard)
                await connection.execute("SELECT pg_advisory_unlock_all()")

    async def _send_some(self, connection: Connection) -> bool:
        """Send and mark up to one batch; returns whether it was full, so that there may be more.

        What is committed meanwhile brings a nudge of its own: no need to look for it.
        A crash between publish and mark sends the rows again: the stream's duplicate window drops them, and if that
        has passed, every consumer's inbox does.
        """
        chosen = await connection.fetch(SELECT_UNSENT, BATCH_MESSAGES, BATCH_BYTES)
        if not chosen:
            return False
        events = [self._outgoing(row, str(row["message_id"])) for row in chosen if row["kind"] == "event"]
        records = [self._outgoing(row, str(row["message_id"])) for row in chosen if row["kind"] == "record"]
        commands = [self._outgoing(row, "") for row in chosen if row["kind"] == "command"]
        wait_s = PATIENCE_S[min(self._unanswered, len(PATIENCE_S) - 1)]
        with sending(self._service, [(row["name"], str(row["message_id"]), row["payload"]) for row in chosen]):
            try:
                if commands:
                    await self._bus.publish_each(commands, wait_s)
                await self._send_batch(events, wait_s)
                await self._send_batch(records, wait_s)
            except (nats.errors.TimeoutError, TimeoutError):
                self._unanswered += 1
                raise
        self._unanswered = 0
        await connection.execute(MARK_SENT, [row["id"] for row in chosen])
        return len(chosen) == BATCH_MESSAGES or sum(len(row["payload"]) for row in chosen) >= BATCH_BYTES

    async def _send_batch(self, messages: list[Outgoing], wait_s: float) -> None:
        """Send what is for one stream."""
        if len(messages) <= 1:
            await self._bus.publish_each(messages, wait_s)
            return
        try:
            await self._bus.publish_batch(messages, wait_s)
        except BatchRefused as error:
            if error.code != DUPLICATE_IN_BATCH:
                raise
            # Some were stored before a crash: one duplicate refuses the whole batch, so send them singly.
            await self._bus.publish_each(messages, wait_s)

    def _outgoing(self, row: asyncpg.Record, message_id: str) -> Outgoing:
        subject = subject_of(self._bus.topology, row["kind"], row["name"], row["site"], str(row["message_id"]))
        return Outgoing(message_id, subject, row["payload"])

    async def measure(self) -> None:
        """Set the gauges of depth and age."""
        row = await self._pool.fetchrow(DEPTH)
        if row is None:
            return
        age = (datetime.now(UTC) - row["oldest"]).total_seconds() if row["oldest"] else 0.0
        series.OUTBOX_DEPTH.labels(self._service).set(row["depth"])
        series.OUTBOX_AGE.labels(self._service).set(max(age, 0.0))
