"""Takes events in: in one transaction, the event and one delivery for each subscription that wants it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.gateway.users import UserTold, user_changed, user_created
from libs.common.contracts.notifier.channels import ChannelTested, channel_tested
from libs.common.contracts.tracker.escalation import escalation_raised
from libs.common.contracts.versions import DocumentPublished
from libs.common.service import Batch, Connection, Delivered, Staged, Table
from services.notifier import direct, escalations, people, personal
from services.notifier.paces import CALENDAR_PUBLISHED, keep_zones
from services.notifier.roll import RAISE_NUMBER, Rolls

ROWS_AT_ONCE = 20_000
_USER_EVENTS = frozenset({user_created.type, user_changed.type})
_STRAIGHT = frozenset(
    {channel_tested.name, escalation_raised.name}
)  # go straight to channels, so they are kept in any site

INSERT_EVENTS = """
INSERT INTO event (event_id, site, name, at, received_at, payload)
SELECT event_id, site, name, at, $6, payload
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[])
    AS fresh (event_id, site, name, at, payload)
ON CONFLICT DO NOTHING
"""
# In the order of the index, so that two replicas never wait for each other in a circle.
INSERT_DELIVERIES = """
INSERT INTO delivery (subscription_id, channel_id, event_id, site, event_name, state, due_at, pace, created_at)
SELECT subscription_id, channel_id, event_id, fresh.site, event_name, 'pending', due_at, pace, $7
FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
    AS fresh (subscription_id, event_id, site, event_name, due_at, pace)
JOIN subscription USING (subscription_id)
ORDER BY subscription_id, event_id
ON CONFLICT (lane, event_id) DO NOTHING
RETURNING delivery_id
"""

# subscription_id, event_id, site, event's name, due_at, pace
Due = tuple[int, uuid.UUID, str, str, datetime, str]


async def insert(connection: Connection, rows: Iterable[Due], now: datetime) -> int:
    """Make deliveries, but for those that there are; returns how many were made."""
    left, made = iter(rows), 0
    while some := list(islice(left, ROWS_AT_ONCE)):
        made += len(await connection.fetch(INSERT_DELIVERIES, *map(list, zip(*some, strict=True)), now))
    return made


class Intake:
    """Applies batches of events."""

    def __init__(self) -> None:
        self._rolls = Rolls()

    async def take(self, connection: Connection, messages: Sequence[Delivered], now: datetime) -> Sequence[Staged]:
        """Keep what is told of users, then make deliveries. Raises `ValueError` for a user or an id that is none."""
        users = [
            UserTold.model_validate(message.event.data) for message in messages if message.event.type in _USER_EVENTS
        ]
        if users:
            await people.keep(connection, users)
            await connection.execute(RAISE_NUMBER)
        erased = [one.event.data["username"] for one in messages if one.event.type == personal.ERASED]
        if erased:
            await personal.erase(connection, erased, now)
        published = [one.event.data for one in messages if one.event.type == CALENDAR_PUBLISHED]
        if published:
            await keep_zones(connection, map(DocumentPublished.model_validate, published))
            await connection.execute(RAISE_NUMBER)
        roll = await self._rolls.current(connection)
        kept = [one for one in messages if one.event.site in roll.sites or one.event.name in _STRAIGHT]
        if kept:
            events = [
                (uuid.UUID(one.event.id), one.event.site, one.event.name, one.event.time, _bytes(one)) for one in kept
            ]
            await connection.execute(INSERT_EVENTS, *map(list, zip(*events, strict=True)), now)
            due = (
                (taker.subscription_id, event_id, one.event.site, one.event.name, *taker.when(one.event, now))
                for event_id, one in ((uuid.UUID(one.event.id), one) for one in kept)
                for taker in roll.takers(one.event)
            )
            await insert(connection, due, now)
            for one in kept:
                if one.event.name == channel_tested.name:
                    await _sample(connection, one.event, now)
        return await escalations.begin(connection, kept, now)


async def _sample(connection: Connection, event: CloudEvent, now: datetime) -> None:
    told = ChannelTested.model_validate(event.data)
    await direct.send(connection, [told.channel_id], uuid.UUID(event.id), event.site, event.name, "test", None, now)


def _bytes(message: Delivered) -> bytes:
    """The event as it came; one that came in binary mode has its envelope in headers, so it is written out."""
    return message.payload if message.event.document is not None else message.event.encode()


TABLE = Table(batch=Batch(Intake().take))
