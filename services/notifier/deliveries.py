"""Deliveries as people see them: list, show, send again, replay, and forget."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from libs.common.cloudevents import decode
from libs.common.columns import listed, names_of
from libs.common.contracts.base import Page
from libs.common.contracts.notifier import deliveries as contract
from libs.common.contracts.notifier.deliveries import (
    MAX_AT_ONCE,
    DeliveriesRetry,
    DeliveryBrief,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryKey,
    DeliveryView,
    EventIds,
    Replay,
    Replayed,
    Retried,
)
from libs.common.contracts.roles import may_be_told
from libs.common.listing import Listing, newest
from libs.common.personal import masked_mail, may_read
from libs.common.problems import Conflict, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from services.notifier import intake
from services.notifier.domain.attempts import webhook_id
from services.notifier.guarding import recovery
from services.notifier.roll import Roll, Rolls
from services.notifier.subscriptions import find

KEPT = timedelta(days=30)  # events: as long as the stream has them
PRUNED_AT_ONCE = 50_000
MAX_OF_EVENTS = 1000

_VIEW = listed(names_of(DeliveryView))
LIST_DELIVERIES = Listing(
    table="delivery",
    columns=_VIEW,
    scope={"site": "text"},
    filters={"subscription_id": "bigint", "channel_id": "bigint", "state": "text", "event_name": "text"},
    readings=(("subscription_id",), ("channel_id",)),
    order=newest("delivery_id"),
)
SELECT_DELIVERY = """
SELECT delivery.*, coalesce(address_shown, endpoint) AS endpoint, coalesce(person, '') AS person, event.payload
FROM delivery LEFT JOIN subscription USING (subscription_id) LEFT JOIN event USING (event_id)
LEFT JOIN channel ON channel.channel_id = delivery.channel_id
WHERE delivery_id = $1 AND delivery.site = $2
"""
# A subscription's goes where that leads now.
AGAIN = """state = 'pending', due_at = $3, ended_at = NULL, suppressed_at = NULL, tries = 0, channel_id = CASE
    WHEN delivery.subscription_id IS NULL THEN delivery.channel_id ELSE (SELECT leads.channel_id
    FROM subscription AS leads WHERE leads.subscription_id = delivery.subscription_id) END"""
RETRY_DELIVERY = f"""
UPDATE delivery SET {AGAIN}, pace = 'now' WHERE delivery_id = $1 AND site = $2 AND state <> 'delivering'
RETURNING subscription_id, channel_id
"""  # noqa: S608 - our own text
CHANNEL_STATUS = "SELECT status FROM channel WHERE channel_id = $1"
SELECT_STATE = "SELECT state FROM delivery WHERE delivery_id = $1 AND site = $2"
# Those whose subscription and channel there still are.
_DEAD = """delivery LEFT JOIN subscription USING (subscription_id)
    LEFT JOIN channel ON channel.channel_id = coalesce(subscription.channel_id, delivery.channel_id)
    WHERE delivery.site = $1 AND state = 'dead' AND coalesce(subscription.status, '') <> 'removed'
        AND coalesce(channel.status, '') <> 'removed' AND ($2::bigint IS NULL OR subscription_id = $2)"""
# In the order of their numbers, as all that changes many rows does.
RETRY_DEAD = f"""
WITH found AS MATERIALIZED (
    SELECT delivery_id FROM {_DEAD} AND ($4::timestamptz IS NULL OR delivery.created_at >= $4)
    ORDER BY delivery_id LIMIT $5 FOR UPDATE OF delivery
)
UPDATE delivery SET {AGAIN} FROM found WHERE delivery.delivery_id = found.delivery_id RETURNING delivery.delivery_id
"""  # noqa: S608
COUNT_DEAD = f"""
SELECT count(*) FROM {_DEAD} AND ($3::timestamptz IS NULL OR delivery.created_at >= $3)
"""  # noqa: S608
# By the lanes of the asker's sites, since that is how deliveries of an event are found without reading all.
SELECT_OF_EVENTS = """
SELECT delivery_id, event_id, site, purpose, state, created_at FROM delivery
WHERE event_id = ANY ($1::uuid[]) AND ($2::text[] IS NULL OR site = ANY ($2)) AND lane = ANY (ARRAY(
    SELECT subscription_id FROM subscription WHERE $2 IS NULL OR site = ANY ($2)
    UNION ALL SELECT -channel_id FROM channel WHERE $2 IS NULL OR site = ANY ($2)
)) ORDER BY delivery_id LIMIT $3
"""
SELECT_EVENTS = """
SELECT event_id, name, received_at, payload FROM event
WHERE site = $1 AND received_at >= $2 AND received_at <= $3 ORDER BY received_at, event_id LIMIT $4
"""
AGAIN_OF_EVENTS = f"""
WITH found AS MATERIALIZED (
    SELECT delivery_id FROM delivery
    WHERE lane = $1 AND event_id = ANY ($2::uuid[]) AND state = ANY ($4::text[])
    ORDER BY delivery_id FOR UPDATE
)
UPDATE delivery SET {AGAIN} FROM found WHERE delivery.delivery_id = found.delivery_id RETURNING delivery.delivery_id
"""  # noqa: S608
PRUNE_EVENTS = """
DELETE FROM event WHERE event_id = ANY (ARRAY(
    SELECT event_id FROM event WHERE received_at < $1
        AND NOT EXISTS (SELECT FROM delivery WHERE delivery.event_id = event.event_id AND due_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM delivery WHERE delivery.event_id = event.event_id AND state = 'suppressed')
    ORDER BY received_at LIMIT $2))
"""


async def list_deliveries(read: Read, wanted: DeliveryFilter) -> Page[DeliveryView]:
    """A page of the site's deliveries, newest first. Raises `Invalid`."""
    given = {"site": read.site, **wanted.model_dump(include={"subscription_id", "channel_id", "state", "event_name"})}
    found = await LIST_DELIVERIES.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[DeliveryView](items=[DeliveryView(**row) for row in found.rows], next_cursor=found.next_cursor)


async def deliveries_of_events(read: Read, wanted: EventIds) -> list[DeliveryBrief]:
    """What was made of these events in the asker's sites, at most 1,000, in the order of their numbers."""
    rows = await read.pool.fetch(SELECT_OF_EVENTS, wanted.event_ids, read.sites_of(None), MAX_OF_EVENTS)
    return [DeliveryBrief(**row) for row in rows]


async def show_delivery(read: Read, key: DeliveryKey) -> DeliveryDetail:
    """One delivery. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_DELIVERY, key.delivery_id, read.site)
    if row is None:
        raise _unknown(key.delivery_id)
    hidden = row["payload"] is None or not may_be_told(read.permissions, row["event_name"])
    event = None if hidden else decode(row["payload"]).document
    endpoint, person = row["endpoint"], row["person"]
    # A site's channels are known to who looks after them; a person's own are theirs.
    open_to = may_read(read.permissions, read.actor, person) or (not person and "channel:write" in read.permissions)
    if endpoint is not None and not open_to:
        endpoint = masked_mail(endpoint)
    return DeliveryDetail(
        **{**row, "endpoint": endpoint}, webhook_id=webhook_id(row["event_id"], row["lane"]), event=event
    )


def _unknown(delivery_id: int) -> NotFound:
    return NotFound(f"There is no delivery {delivery_id} in this site; GET /api/deliveries lists them.")


async def retry_delivery(tx: Tx, key: DeliveryKey) -> Retried:
    """Have one sent again now, whatever became of it. Raises `NotFound`, `Conflict` while it is being sent."""
    again = await tx.connection.fetchrow(RETRY_DELIVERY, key.delivery_id, tx.site, tx.now)
    if again is None:
        if await tx.connection.fetchval(SELECT_STATE, key.delivery_id, tx.site) is None:
            raise _unknown(key.delivery_id)
        raise Conflict(f"The delivery {key.delivery_id} is being sent at this moment.")
    subscription_id, channel_id = again
    if subscription_id is not None and (await find(tx.connection, subscription_id, tx.site)).status == "removed":
        raise Conflict(f"The subscription {subscription_id} of this delivery is removed.")
    if await tx.connection.fetchval(CHANNEL_STATUS, channel_id) == "removed":
        raise Conflict("The channel of this delivery is removed.")
    await recovery.try_with(tx.connection, key.delivery_id, tx.now)
    told = Retried(retried_count=1, delivery_id=key.delivery_id, subscription_id=subscription_id)
    tx.emit(contract.delivery_retried, told, subject=str(key.delivery_id))
    return told


async def retry_deliveries(tx: Tx, body: DeliveriesRetry) -> Retried:
    """Have what was given up sent again. Raises `NotFound` for a subscription that the site does not have."""
    if body.subscription_id is not None:
        await find(tx.connection, body.subscription_id, tx.site)
    asked = (tx.site, body.subscription_id)
    again = await tx.connection.fetch(RETRY_DEAD, *asked, tx.now, body.since, MAX_AT_ONCE)
    left = await tx.connection.fetchval(COUNT_DEAD, *asked, body.since) if len(again) == MAX_AT_ONCE else 0
    told = Retried(retried_count=len(again), left_over_count=left, subscription_id=body.subscription_id)
    tx.emit(contract.delivery_retried, told, subject=tx.site)
    return told


async def replay_subscription(rolls: Rolls, tx: Tx, body: Replay) -> Replayed:
    """Send the events of before, by what the subscription asks now. Raises `NotFound`, `Conflict`."""
    known = await find(tx.connection, body.subscription_id, tx.site)
    if known.status != "active":
        raise Conflict(f"The subscription {body.subscription_id} is {known.status}; resume it first.")
    roll = (await rolls.current(tx.connection)).only(body.subscription_id)
    wanted, count, last = await _wanted(tx, body, roll)
    made = await intake.insert(
        tx.connection,
        ((body.subscription_id, event_id, tx.site, name, due_at, pace) for event_id, name, due_at, pace in wanted),
        tx.now,
    )
    states = ["dead", "delivered"] if body.delivered_too else ["dead"]
    ids = [one[0] for one in wanted]
    again = await tx.connection.fetch(AGAIN_OF_EVENTS, body.subscription_id, ids, tx.now, states)
    told = Replayed(
        subscription_id=body.subscription_id,
        event_count=count,
        made_count=made,
        again_count=len(again),
        next_since=last if count == MAX_AT_ONCE else None,
    )
    tx.emit(contract.subscription_replayed, told, subject=str(body.subscription_id))
    return told


_Wanted = tuple[uuid.UUID, str, datetime, str]  # an event's id and name, when it is to be sent, and its pace


async def _wanted(tx: Tx, body: Replay, roll: Roll) -> tuple[list[_Wanted], int, datetime | None]:
    """The events that the subscription wants, how many were looked at, and when the last one came."""
    wanted: list[_Wanted] = []
    count, last = 0, None
    until = body.until or tx.now
    async for row in tx.connection.cursor(SELECT_EVENTS, tx.site, body.since, until, MAX_AT_ONCE):
        count, last = count + 1, row["received_at"]
        event = decode(row["payload"])
        wanted += [(row["event_id"], row["name"], *taker.when(event, tx.now)) for taker in roll.takers(event)]
    return wanted, count, last


async def prune(tx: Tx) -> JobDone | None:
    """Forget events after 30 days, but for those that are still to be sent; at most 50,000 at a time."""
    gone = int((await tx.connection.execute(PRUNE_EVENTS, tx.now - KEPT, PRUNED_AT_ONCE)).rpartition(" ")[2])
    return JobDone(detail={"event_count": gone}) if gone else None


def table() -> Table:
    """What this module answers."""
    rolls = Rolls()

    async def replay(tx: Tx, body: Replay) -> Replayed:
        return await replay_subscription(rolls, tx, body)

    return Table(
        commands={
            contract.retry_delivery: retry_delivery,
            contract.retry_deliveries: retry_deliveries,
            contract.replay_subscription: replay,
        },
        queries={
            contract.list_deliveries: list_deliveries,
            contract.show_delivery: show_delivery,
            contract.deliveries_of_events: deliveries_of_events,
        },
        jobs=(Job("prune_events", Schedule("37 * * * *"), prune),),
    )
