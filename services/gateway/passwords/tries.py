"""Counts attempts to sign in, in the database: for all gateways together, and over restarts.

An attempt is counted before it is judged, and taken off again with the session that it opened. Crash between: a person
who was right has one attempt less; nobody who guesses has one more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from libs.common.contracts.gateway.passwords import Tries
from libs.common.postgres import UNREACHABLE
from libs.common.problems import TooMany, Unavailable
from libs.common.service import Clock, Connection
from services.gateway.domain.passwords import WAITS_S, bucket

FORGOTTEN = timedelta(hours=24)  # after so long without one, counting begins anew
TIMEOUT_S = 5.0

# In one order, so that two attempts can't wait for each other. A row that must wait is not touched, and not returned.
COUNT_TRY = """
INSERT INTO sign_in_try AS known (kind, bucket, tries, tried_at, free_at)
SELECT kind, bucket, 1, $3, $3 FROM unnest($1::text[], $2::integer[]) AS shown (kind, bucket) ORDER BY kind, bucket
ON CONFLICT (kind, bucket) DO UPDATE SET tried_at = $3,
    tries = CASE WHEN known.tried_at < $4 THEN 1 ELSE known.tries + 1 END,
    free_at = $3 + make_interval(secs => CASE WHEN known.tried_at < $4 THEN 0
        WHEN known.kind = 'address' THEN ($6::float8[])[least(known.tries + 1, cardinality($6::float8[]))]
        ELSE ($5::float8[])[least(known.tries + 1, cardinality($5::float8[]))] END)
WHERE known.free_at <= $3
RETURNING kind
"""
SELECT_FREE_AT = """
SELECT max(free_at) FROM sign_in_try JOIN unnest($1::text[], $2::integer[]) AS shown (kind, bucket) USING (kind, bucket)
"""
# It was right: who came is no guesser. Of an address only this attempt: others may come from there, too.
FORGIVE = """
UPDATE sign_in_try SET tries = CASE WHEN kind = 'address' THEN greatest(tries - 1, 0) ELSE 0 END,
    free_at = CASE WHEN kind = 'address' THEN free_at ELSE $3 END
FROM unnest($1::text[], $2::integer[]) AS shown (the_kind, the_bucket) WHERE kind = the_kind AND bucket = the_bucket
"""
FORGET_OLD_TRIES = "DELETE FROM sign_in_try WHERE tried_at < $1"


@dataclass(frozen=True, slots=True)
class Shown:
    """By what an attempt is counted: kind (see `WAITS_S`) and what is shown, such as ``("name", "mia")``."""

    kind: str
    text: str


class _MustWait(Exception):
    """Rolls back what was counted of an attempt that is refused."""


class TryCounter:
    """Says who may try, and when again."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def count(self, shown: Sequence[Shown]) -> Tries:
        """Count an attempt, or raise `TooMany` if one of these must wait: then nothing is counted.

        The same is answered for names that there are not. Raises `Unavailable`.
        """
        tries, now = (
            Tries(kinds=[one.kind for one in shown], buckets=[bucket(one.text) for one in shown]),
            self._clock(),
        )
        try:
            async with self._pool.acquire(timeout=TIMEOUT_S) as connection:
                try:
                    async with connection.transaction():
                        await self._count(connection, tries, now)
                except _MustWait:
                    free_at = await connection.fetchval(SELECT_FREE_AT, tries.kinds, tries.buckets, timeout=TIMEOUT_S)
                    wait_s = max(1, math.ceil((free_at - now).total_seconds())) if free_at else 1
                    raise TooMany(
                        f"Too many attempts failed, by this name or from your address; try again in {wait_s} s.",
                        retry_after_s=wait_s,
                    ) from None
        except UNREACHABLE as error:
            raise Unavailable("Nobody can sign in now: the database can't be reached. Try again.") from error
        return tries

    async def _count(self, connection: Connection, tries: Tries, now: datetime) -> None:
        waits = list(WAITS_S["name"]), list(WAITS_S["address"])
        counted = await connection.fetch(
            COUNT_TRY, tries.kinds, tries.buckets, now, now - FORGOTTEN, *waits, timeout=TIMEOUT_S
        )
        if len(counted) < len(tries.kinds):
            raise _MustWait


async def forgive(connection: Connection, tries: Tries, now: datetime) -> None:
    """What was counted was right; and forget what is long ago."""
    await connection.execute(FORGIVE, tries.kinds, tries.buckets, now)
    await connection.execute(FORGET_OLD_TRIES, now - FORGOTTEN)
