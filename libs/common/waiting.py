"""Messages that only a newer version knows: kept in the table of dead letters until one takes them up.

In a rolling upgrade the durable already brings what the new version hears, and an old process may pull it. It keeps the
message here and takes it off the stream, so that nothing behind it waits. The new version looks here and applies it,
through its inbox like any other. Where none comes within `WAITS`, it becomes a dead letter like any other, which is
told. A crash between keeping and acknowledging keeps it again under the same key, which changes nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta

import asyncpg

from libs.common import series
from libs.common.cloudevents import CloudEvent
from libs.common.deadletters import clean
from libs.common.pull import Delivery
from libs.common.service import Clock
from libs.common.telemetry import log

WAITS = timedelta(hours=6)
LOOK_EVERY_S = 2.0
AT_ONCE = 100
MAX_NOTED = 1000

KEEP = """
INSERT INTO dead_letters (consumer, message_key, message_id, message_type, subject, site, payload, headers, reason,
    attempts, state, buried_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 'waiting', $10)
ON CONFLICT (consumer, message_key) DO NOTHING
"""
_COLUMNS = "message_key, subject, payload, headers, buried_at"
SELECT_KNOWN = f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE state = 'waiting' AND consumer = $1 AND ($2::text[] IS NULL OR message_type = ANY ($2::text[]))
ORDER BY letter_id LIMIT $3
"""  # noqa: S608 - a constant of ours
SELECT_OLDEST = f"""
SELECT {_COLUMNS} FROM dead_letters WHERE state = 'waiting' AND consumer = $1 ORDER BY letter_id LIMIT $2
"""  # noqa: S608 - a constant of ours
# What the inbox holds has been applied or refused for good, by whichever process. Another replica may be closing them.
CLOSE = """
UPDATE dead_letters SET state = 'replayed', decided_by = $3, decided_at = $4 WHERE letter_id IN (
    SELECT letter_id FROM dead_letters
    WHERE consumer = $1 AND message_key = ANY ($2::text[]) AND state = 'waiting' AND EXISTS (
        SELECT FROM inbox WHERE inbox.consumer = dead_letters.consumer AND event_id = dead_letters.message_id::uuid)
    ORDER BY letter_id FOR UPDATE SKIP LOCKED
)
"""


Apply = Callable[[list[Delivery]], Awaitable[None]]
Bury = Callable[[Delivery, str, int], Awaitable[None]]


class Shelf:
    """Where one consumer keeps them."""

    def __init__(self, pool: asyncpg.Pool, service: str, consumer: str, clock: Clock) -> None:
        self._pool, self._service, self._consumer, self._clock = pool, service, consumer, clock
        self._noted: set[str] = set()
        self._look_at = 0.0

    def note(self, events: Sequence[CloudEvent]) -> None:
        """Count all, but log each type once."""
        series.UNKNOWN.labels(self._service, self._consumer).inc(len(events))
        for event in events:
            if event.type not in self._noted and len(self._noted) < MAX_NOTED:
                self._noted.add(event.type)
                log.warning("this version does not know such messages", consumer=self._consumer, type=event.type)

    async def put(self, messages: Sequence[tuple[Delivery, CloudEvent]]) -> None:
        """Keep messages for a newer version."""
        reason, now = f"this version of {self._service} does not know it", self._clock()
        rows = [
            (
                self._consumer,
                delivery.key,
                str(uuid.UUID(event.id)),  # as the database writes it
                clean(event.type, 200),
                clean(delivery.subject, 500),
                clean(event.site, 40),
                delivery.payload,
                {clean(name, 200): clean(value, 2000) for name, value in delivery.headers.items()},
                reason,
                now,
            )
            for delivery, event in messages
        ]
        async with self._pool.acquire() as connection:
            await connection.executemany(KEEP, rows)

    async def look(self, types: Iterable[str] | None, apply: Apply, bury: Bury) -> None:
        """Every two seconds: apply what is of these types (None: of any), and bury what has waited for too long."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        if await self._take_up(None if types is None else sorted(types), apply) == AT_ONCE:
            self._look_at = now  # there may be more
        hours = WAITS.total_seconds() / 3600
        for row in await self._pool.fetch(SELECT_OLDEST, self._consumer, AT_ONCE):
            if row["buried_at"] < self._clock() - WAITS:
                reason = f"{self._service} has no handler for it, and no newer version came within {hours:g} hours"
                await bury(_delivery(row), reason, 1)

    async def _take_up(self, types: list[str] | None, apply: Apply) -> int:
        found = await self._pool.fetch(SELECT_KNOWN, self._consumer, types, AT_ONCE)
        if found:
            await apply([_delivery(row) for row in found])
            keys, by = [row["message_key"] for row in found], f"service:{self._service}"
            await self._pool.execute(CLOSE, self._consumer, keys, by, self._clock())
            log.info("waiting messages taken up", consumer=self._consumer, count=len(found))
        return len(found)


def _delivery(row: asyncpg.Record) -> Delivery:
    stream, _, number = row["message_key"].rpartition(":")
    return Delivery(row["subject"], row["payload"], row["headers"], "", stream, int(number), 1)
