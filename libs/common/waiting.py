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
from libs.common.deadletters import PAUSES, clean
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
_COLUMNS = "letter_id, message_key, subject, payload, headers"
_LETTERS = f"""
SELECT {_COLUMNS} FROM dead_letters LEFT JOIN attempts USING (consumer, message_key)
WHERE state = 'waiting' AND consumer = $1"""  # noqa: S608 - a constant of ours
# One that has failed waits as long as one on a stream would, and leaves its place to those behind it. With "+ 0" the
# table is not walked by its key, past all that was decided and all that nobody here knows.
_DUE = """ AND letter_id + 0 > $2
    AND (count IS NULL OR last_at + ($3::interval[])[least(count, cardinality($3::interval[]))] <= $4)"""
_NEXT = " ORDER BY letter_id + 0 LIMIT $5"
SELECT_ANY = f"{_LETTERS}{_DUE}{_NEXT}"
SELECT_KNOWN = f"{_LETTERS}{_DUE} AND message_type = ANY ($6::text[]){_NEXT}"
# What this version knows ends by its tries alone, however old it is. What a newer one has tried waits for that again.
SELECT_OVERDUE = f"""{_LETTERS} AND message_type <> ALL ($2::text[]) AND buried_at < $3
    AND (last_at IS NULL OR last_at < $3)
ORDER BY buried_at LIMIT $4
"""
# What the inbox holds has been applied or refused for good, by whichever process. Another replica may be closing them.
CLOSE = """
UPDATE dead_letters SET state = 'replayed', decided_by = $3, decided_at = $4 WHERE letter_id IN (
    SELECT letter_id FROM dead_letters
    WHERE consumer = $1 AND message_key = ANY ($2::text[]) AND state = 'waiting' AND EXISTS (
        SELECT FROM inbox WHERE inbox.consumer = dead_letters.consumer AND event_id = dead_letters.message_id::uuid)
    ORDER BY letter_id FOR UPDATE SKIP LOCKED
) RETURNING letter_id
"""


Apply = Callable[[list[Delivery]], Awaitable[None]]
Bury = Callable[[Delivery, str, int], Awaitable[None]]


class Shelf:
    """Where one consumer keeps them."""

    def __init__(self, pool: asyncpg.Pool, service: str, consumer: str, clock: Clock) -> None:
        self._pool, self._service, self._consumer, self._clock = pool, service, consumer, clock
        self._noted: set[str] = set()
        self._look_at = 0.0
        self._after = 0  # the letter up to which this round has looked

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
        known = None if types is None else sorted(types)
        if await self._take_up(known, apply):
            self._look_at = now  # there may be more
        elif known is not None:
            await self._give_up(known, bury)

    async def _take_up(self, known: list[str] | None, apply: Apply) -> bool:
        """Apply the next of them, and go on behind them the next time; whether it is worth to do so at once."""
        due = (self._consumer, self._after, PAUSES, self._clock(), AT_ONCE)
        select = (SELECT_ANY, *due) if known is None else (SELECT_KNOWN, *due, known)
        found = await self._pool.fetch(*select)
        if found:
            await apply([_delivery(row) for row in found])
        full = len(found) == AT_ONCE
        self._after = found[-1]["letter_id"] if full else 0
        keys, by = [row["message_key"] for row in found], f"service:{self._service}"
        closed = await self._pool.fetch(CLOSE, self._consumer, keys, by, self._clock()) if found else []
        if closed:
            log.info("waiting messages taken up", consumer=self._consumer, count=len(closed))
        return full and bool(closed)

    async def _give_up(self, known: list[str], bury: Bury) -> None:
        reason = (
            f"{self._service} has no handler for it, and no newer version came within "
            f"{WAITS.total_seconds() / 3600:g} hours"
        )
        for row in await self._pool.fetch(SELECT_OVERDUE, self._consumer, known, self._clock() - WAITS, AT_ONCE):
            await bury(_delivery(row), reason, 1)


def _delivery(row: asyncpg.Record) -> Delivery:
    stream, _, number = row["message_key"].rpartition(":")
    return Delivery(row["subject"], row["payload"], row["headers"], "", stream, int(number), 1)
