"""Deliveries that go straight to channels, without a subscription: samples, escalations, warnings of our own."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from libs.common.service import Connection

# In the order of the index; a channel that is disabled or removed gets none.
INSERT_DIRECT = """
INSERT INTO delivery (channel_id, event_id, site, event_name, purpose, key, state, due_at, created_at)
SELECT channel_id, $2, $3, $4, $5, $6, 'pending', $7, $7
FROM channel WHERE channel_id = ANY ($1::bigint[]) AND status = 'active' ORDER BY channel_id DESC
ON CONFLICT (lane, event_id) DO NOTHING
RETURNING delivery_id
"""


async def send(
    connection: Connection,
    channel_ids: Sequence[int],
    event_id: uuid.UUID,
    site: str,
    event_name: str,
    purpose: str,
    key: uuid.UUID | None,
    now: datetime,
) -> int:
    """Make a delivery of an event for each of the channels that is active and has none; returns how many were made.

    The event must be kept (see `intake`). ``purpose`` is ``test``, ``escalation`` and the like; ``key`` is what an
    answer is told under.
    """
    made = await connection.fetch(INSERT_DIRECT, list(channel_ids), event_id, site, event_name, purpose, key, now)
    return len(made)


async def send_many(
    connection: Connection,
    to_send: Iterable[tuple[Sequence[int], uuid.UUID, str, uuid.UUID]],
    event_name: str,
    purpose: str,
    now: datetime,
) -> None:
    """The same for many events at once, each with its channels, id, site and key."""
    rows = [(list(ids), event_id, site, event_name, purpose, key, now) for ids, event_id, site, key in to_send if ids]
    if rows:
        await connection.executemany(INSERT_DIRECT, rows)
