"""The inbox: what makes "at least once" into "once in effect".

A row is written in the transaction of the effect. A crash before COMMIT leaves neither; a crash after it leaves both,
and the redelivery finds the row.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from libs.common.service import Connection

# Without ORDER BY two replicas with overlapping batches would lock each other's rows in opposite order.
CLAIM = """
INSERT INTO inbox (consumer, event_id, digest)
SELECT $1, e.id, e.digest FROM unnest($2::uuid[], $3::text[]) AS e (id, digest) ORDER BY e.id
ON CONFLICT DO NOTHING RETURNING event_id
"""
SELECT_DIGESTS = "SELECT event_id, digest FROM inbox WHERE consumer = $1 AND event_id = ANY ($2::uuid[])"
RELEASE = "DELETE FROM inbox WHERE consumer = $1 AND event_id = $2"
PRUNE = "DELETE FROM inbox WHERE received_at < $1"


async def claim(
    connection: Connection, consumer: str, ids: Sequence[uuid.UUID], digests: Sequence[str]
) -> set[uuid.UUID]:
    """Claim messages; returns the ids that are new. Ids must be distinct (drop repeats within a batch before)."""
    return {row["event_id"] for row in await connection.fetch(CLAIM, consumer, list(ids), list(digests))}


async def digests(connection: Connection, consumer: str, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The body digests under which messages were first applied."""
    rows = await connection.fetch(SELECT_DIGESTS, consumer, list(ids))
    return {row["event_id"]: row["digest"] for row in rows}


async def release(connection: Connection, consumer: str, id_: uuid.UUID) -> None:
    """Give a claim back in the transaction that made it: nobody has applied the message, and it may come again."""
    await connection.execute(RELEASE, consumer, id_)
