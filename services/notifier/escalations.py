"""Escalations: each key that the tracker raises goes to the channels of whom it names, once, and is answered once.

The answer leaves in the transaction that knows it: at the first channel that was told, or when none can be told any
more. Crash anywhere: either the event comes again, or the deliveries are there and their results are awaited.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common import outbox
from libs.common.acknowledge_links import GOOD_FOR, Ticket, link_of
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Open
from libs.common.contracts.notifier import CONTRACT
from libs.common.contracts.notifier.escalations import (
    EscalationAnswer,
    EscalationDelivery,
    escalation_delivered,
    escalation_failed,
)
from libs.common.contracts.tracker.acknowledge_links import LinkKey
from libs.common.contracts.tracker.escalation import TargetTold, escalation_raised
from libs.common.schedules import Schedule
from libs.common.service import Connection, Delivered, Job, JobDone, Staged, Table, Tx
from libs.common.vault import Vault
from services.notifier import direct
from services.notifier.claims import Claimed, Result
from services.notifier.domain.addressees import Addressed, Addressee, address

PURPOSE = "escalation"
WITHIN = timedelta(minutes=10)  # what is not known by then is answered as failed; the tries go on
KEPT = timedelta(days=35)  # longer than the stream keeps what could come again
AT_ONCE = 1_000
HOW = "Each person makes their own (`headgate own-channels create`), managers those of the site."
LATE = "Nobody was told within 10 minutes; it is tried on."

# Whose channels they are may not see the site any more: they are still asked, and refused when it is sent.
SELECT_CHANNELS = """
SELECT channel_id, site, person, name FROM channel
WHERE status = 'active' AND (person = ANY ($1::text[]) AND person <> '' OR site = ANY ($2::text[]) AND person = '')
ORDER BY channel_id
"""
INSERT_ESCALATIONS = """
INSERT INTO escalation (key, event_id, correlation_id, site, item_id, level, without_channel, lacking, created_at,
    answered_at)
SELECT key, event_id, correlation_id, site, item_id, level, without_channel, lacking, created_at, answered_at
FROM jsonb_populate_recordset(NULL::escalation, $1) ORDER BY key
ON CONFLICT (key) DO NOTHING RETURNING key
"""
# Locked before the deliveries are read: of two replicas that write down the last two results of a key, the second sees
# what the first wrote, and one of them answers.
LOCK_UNANSWERED = """
SELECT * FROM escalation WHERE key = ANY ($1::uuid[]) AND answered_at IS NULL ORDER BY key FOR UPDATE
"""
SELECT_TOLD = """
SELECT key, name AS channel, kind, person, error, due_at IS NOT NULL AS open,
    CASE WHEN state IN ('delivered', 'dead') THEN state ELSE 'pending' END AS state
FROM delivery JOIN channel USING (channel_id) WHERE key = ANY ($1::uuid[]) ORDER BY delivery_id
"""
SET_ANSWERED = "UPDATE escalation SET answered_at = $2 WHERE key = ANY ($1::uuid[])"
SELECT_UNANSWERED = "SELECT key FROM escalation WHERE answered_at IS NULL ORDER BY created_at, key LIMIT $1"
# Who disables a channel wants nothing sent to it, and what escalates can't wait for another word.
DROP_UNSENDABLE = """
WITH found AS MATERIALIZED (
    SELECT delivery_id, channel.status FROM delivery JOIN channel USING (channel_id)
    WHERE key = ANY ($1::uuid[]) AND due_at IS NOT NULL AND channel.status <> 'active'
    ORDER BY delivery_id FOR UPDATE OF delivery
)
UPDATE delivery SET state = 'dead', due_at = NULL, ended_at = $2, error = 'The channel is ' || found.status || '.'
FROM found WHERE delivery.delivery_id = found.delivery_id AND (state <> 'delivering' OR due_at <= $2)
"""
PRUNE_ESCALATIONS = "DELETE FROM escalation WHERE answered_at IS NOT NULL AND created_at < $1"


class _RaisedItem(Open):
    id: int
    episode: int


class _Raised(Open):
    """What is needed of `tracker.escalation.raised`, whichever Headgate told it."""

    key: uuid.UUID
    item: _RaisedItem
    level: int
    targets: list[TargetTold]


async def begin(connection: Connection, messages: Sequence[Delivered], now: datetime) -> list[Staged]:
    """Make the deliveries of what was raised, for each key once; answers for those that nobody has a channel for.

    The events are kept already. Raises `ValueError` for data that are none.
    """
    raised = [
        (one.event, _Raised.model_validate(one.event.data))
        for one in messages
        if one.event.type == escalation_raised.type
    ]
    if not raised:
        return []
    addressed = await _address(connection, raised)
    first: dict[uuid.UUID, tuple[CloudEvent, _Raised]] = {}
    for event, told in raised:
        first.setdefault(told.key, (event, told))
    rows = [_row(event, told, addressed[key], now) for key, (event, told) in first.items()]
    new = [row["key"] for row in await connection.fetch(INSERT_ESCALATIONS, rows)]
    await direct.send_many(
        connection,
        [(addressed[key].channel_ids, uuid.UUID(first[key][0].id), first[key][0].site, key) for key in new],
        escalation_raised.name,
        PURPOSE,
        now,
    )
    staged: list[Staged] = []
    for key in new:
        (event, told), whom = first[key], addressed[key]
        if not whom.channel_ids:
            answer = EscalationAnswer(
                key=key,
                item_id=told.item.id,
                level=told.level,
                deliveries=[],
                without_channel=list(whom.without_channel),
                error=_sentence("", whom.lacking),
            )
            staged += _staged(event, now, answer, delivered=False)
    return staged


async def _address(connection: Connection, raised: Sequence[tuple[CloudEvent, _Raised]]) -> dict[uuid.UUID, Addressed]:
    people = {person for _, told in raised for target in told.targets for person in target.people}
    rows = await connection.fetch(SELECT_CHANNELS, sorted(people), sorted({event.site for event, _ in raised}))
    own: dict[str, list[int]] = {}
    named: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["person"]:
            own.setdefault(row["person"], []).append(row["channel_id"])
        else:
            named.setdefault(row["site"], {})[row["name"]] = row["channel_id"]
    return {
        told.key: address(
            [Addressee(one.kind, one.name, one.people) for one in told.targets], own, named.get(event.site, {})
        )
        for event, told in raised
    }


def _row(event: CloudEvent, told: _Raised, whom: Addressed, now: datetime) -> dict[str, Any]:
    return {
        "key": told.key,
        "event_id": event.id,
        "correlation_id": event.correlationid,
        "site": event.site,
        "item_id": told.item.id,
        "level": told.level,
        "without_channel": whom.without_channel,
        "lacking": whom.lacking,
        "created_at": now,
        "answered_at": None if whom.channel_ids else now,
    }


async def note(connection: Connection, results: Iterable[Result], now: datetime) -> bool:
    """Answer for the keys that these results decide, in their transaction; returns whether anything was told."""
    keys = {one.key for one in results if one.key is not None and one.state in ("delivered", "dead")}
    if not keys:
        return False
    staged = await answer(connection, sorted(keys), now)
    if staged:
        await outbox.stage(connection, staged)
    return bool(staged)


async def answer(connection: Connection, keys: Sequence[uuid.UUID], now: datetime) -> list[Staged]:
    """The answers for those of the keys that can be answered and have not been."""
    rows = await connection.fetch(LOCK_UNANSWERED, keys)
    told: dict[uuid.UUID, list[asyncpg.Record]] = {row["key"]: [] for row in rows}
    for one in await connection.fetch(SELECT_TOLD, list(told)) if told else ():
        told[one["key"]].append(one)
    staged: list[Staged] = []
    answered: list[uuid.UUID] = []
    for row in rows:
        found = told[row["key"]]
        delivered = any(one["state"] == "delivered" for one in found)
        late = row["created_at"] <= now - WITHIN
        if not delivered and not late and any(one["open"] for one in found):
            continue
        answered.append(row["key"])
        cause = CloudEvent(
            id=str(row["event_id"]),
            source=f"/headgate/{CONTRACT.service}",
            type=escalation_raised.type,
            site=row["site"],
            actor=f"service:{CONTRACT.service}",
            correlationid=row["correlation_id"],
            time=now,
        )
        staged += _staged(cause, now, _answer(row, found, delivered=delivered), delivered=delivered)
    if answered:
        await connection.execute(SET_ANSWERED, answered, now)
    return staged


def _answer(row: asyncpg.Record, found: Sequence[asyncpg.Record], *, delivered: bool) -> EscalationAnswer:
    deliveries = [
        EscalationDelivery(
            channel=one["channel"],
            kind=one["kind"],
            person=one["person"],
            state="failed" if one["state"] == "dead" else one["state"],
            error=one["error"],
        )
        for one in found
    ]
    error: str | None = None
    if not delivered:
        failures = {one.channel: one.error for one in deliveries if one.state == "failed" and one.error}
        said = " ".join(f"{channel}: {sentence}" for channel, sentence in failures.items())
        waits = any(one.state == "pending" for one in deliveries)
        error = _sentence(f"{LATE} {said}".strip() if waits else said, row["lacking"])
    return EscalationAnswer(
        key=row["key"],
        item_id=row["item_id"],
        level=row["level"],
        deliveries=deliveries,
        without_channel=row["without_channel"],
        error=error,
    )


def _sentence(said: str, lacking: str) -> str:
    return " ".join(part for part in (said, f"{lacking} {HOW}" if lacking else "") if part)[:1_000]


def _staged(cause: CloudEvent, now: datetime, told: EscalationAnswer, *, delivered: bool) -> list[Staged]:
    tx = Tx(CONTRACT.service, None, cause, now)
    tx.emit(escalation_delivered if delivered else escalation_failed, told, subject=str(told.item_id))
    return tx.staged


def acknowledge_link(one: Claimed, data: Any, vault: Vault, base_url: str, now: datetime) -> str:
    """The link for a message of an escalation; empty without a ``base_url``. Raises `ValueError`, `VaultError`."""
    if not base_url or one.purpose != PURPOSE:
        return ""
    told = _Raised.model_validate(data)
    key = LinkKey(item_id=told.item.id, episode=told.item.episode, key=told.key)
    ticket = Ticket(site=one.site, key=key, person=one.owner or None, channel=one.channel_name, until=now + GOOD_FOR)
    return link_of(base_url, vault, ticket)


async def settle(tx: Tx) -> JobDone | None:
    """The minute's job: what can't be sent any more, or took too long, is answered for without a result."""
    keys = [row["key"] for row in await tx.connection.fetch(SELECT_UNANSWERED, AT_ONCE)]
    if not keys:
        return None
    await tx.connection.execute(DROP_UNSENDABLE, keys, tx.now)
    staged = await answer(tx.connection, keys, tx.now)
    tx.staged += staged
    return JobDone(detail={"answered_count": len(staged)}) if staged else None


async def prune(tx: Tx) -> JobDone | None:
    """Forget keys that can't come again."""
    await tx.connection.execute(PRUNE_ESCALATIONS, tx.now - KEPT)
    return None


TABLE = Table(
    jobs=(
        Job("escalation_answers", Schedule("* * * * *"), settle, looks=True),
        Job("prune_escalations", Schedule("50 3 * * *"), prune),
    )
)
