"""What a person says to an item's escalation: seen, not now, go on. And how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from libs.common.columns import listed
from libs.common.contracts.base import Event
from libs.common.contracts.changes import stated
from libs.common.contracts.tracker import escalation as contract
from libs.common.contracts.tracker.escalation import (
    Acknowledge,
    Escalation,
    EscalationChanged,
    Snooze,
    StepTaken,
    escalation_acknowledged,
    escalation_snoozed,
    escalation_unacknowledged,
    escalation_woken,
)
from libs.common.contracts.tracker.items import ItemKey
from libs.common.problems import Conflict, Invalid
from libs.common.service import Connection, Read, Table, Tx
from services.tracker.chains import thaw
from services.tracker.items import unknown

MAX_SNOOZE = timedelta(days=30)
MAX_STEPS_SHOWN = 200

SELECT_ESCALATION = """
SELECT item.id AS item_id, item.episode, escalation, frozen_chain.content
FROM item LEFT JOIN escalation ON escalation.item = item.id AND escalation.episode = item.episode
    LEFT JOIN frozen_chain ON digest = chain_digest
WHERE item.id = $1 AND item.site = $2
"""
SELECT_STEPS = """
SELECT key, level, repeat, outcome, due_at, at, targets, dispatched, answered_at,
    coalesce(answer->'deliveries', '[]') AS deliveries, answer->>'error' AS error
FROM escalation_step WHERE item = $1 AND episode = $2
ORDER BY at DESC, key DESC LIMIT $3
"""
# Not locked: a word on an episode that ends at the same moment does no harm.
SELECT_ITEM = "SELECT episode, is_active, status FROM item WHERE id = $1 AND site = $2"
LOCK_ESCALATION = """
INSERT INTO escalation (item, episode, site) VALUES ($1, $2, $3)
ON CONFLICT (item, episode) DO UPDATE SET site = excluded.site
RETURNING *
"""
_STATED = ("acknowledged_at", "acknowledged_by", "snoozed_until", "snoozed_by", "reason")
_RETURNING = f"RETURNING {listed(_STATED)}"
ACKNOWLEDGE = f"""
UPDATE escalation SET acknowledged_at = $3, acknowledged_by = $4, reason = $5 WHERE item = $1 AND episode = $2
{_RETURNING}
"""  # noqa: S608 - names of ours
UNACKNOWLEDGE = f"""
UPDATE escalation SET acknowledged_at = NULL, acknowledged_by = NULL, reason = $4,
    look_at = CASE WHEN look_at IS NOT NULL THEN greatest(look_at, $3) END
WHERE item = $1 AND episode = $2
{_RETURNING}
"""  # noqa: S608
SNOOZE = f"""
UPDATE escalation SET snoozed_until = $3, snoozed_by = $4, reason = $5,
    look_at = CASE WHEN look_at IS NOT NULL THEN greatest(look_at, $3) END
WHERE item = $1 AND episode = $2
{_RETURNING}
"""  # noqa: S608
WAKE = f"""
UPDATE escalation SET snoozed_until = NULL, snoozed_by = NULL, reason = $4,
    look_at = CASE WHEN look_at IS NOT NULL THEN $3::timestamptz END
WHERE item = $1 AND episode = $2
{_RETURNING}
"""  # noqa: S608


async def get_escalation(read: Read, params: ItemKey) -> Escalation:
    """How far an item's escalation is in its present episode; raises `NotFound`."""
    return await _escalation(read.pool, params.item_id, read.site, read.now)


async def acknowledge(tx: Tx, body: Acknowledge) -> Escalation:
    """Stop the escalation of an open item until it is un-acknowledged, opens again, or a claim of it is refused.

    Raises `NotFound`, and `Conflict` for an item that is done or acknowledged already.
    """
    return await stop(tx, await locked(tx, body.item_id), body.reason)


async def stop(tx: Tx, row: asyncpg.Record, reason: str | None, **more: Any) -> Escalation:
    """Stop a locked escalation in the name of ``tx.actor``; ``more`` is told, too. Raises `Conflict`."""
    if row["acknowledged_at"] is not None:
        raise Conflict(f"Item {row['item']} was acknowledged by {row['acknowledged_by']} already.")
    now = await tx.connection.fetchrow(ACKNOWLEDGE, row["item"], row["episode"], tx.now, tx.actor, reason)
    return await _told(tx, row, now, escalation_acknowledged, reason, **more)


async def unacknowledge(tx: Tx, body: Acknowledge) -> Escalation:
    """Let the escalation go on; a step that was due meanwhile is taken at the next look. Raises like `acknowledge`."""
    row = await locked(tx, body.item_id)
    if row["acknowledged_at"] is None:
        raise Conflict(f"Item {body.item_id} is not acknowledged.")
    now = await tx.connection.fetchrow(UNACKNOWLEDGE, row["item"], row["episode"], tx.now, body.reason)
    return await _told(tx, row, now, escalation_unacknowledged, body.reason)


async def snooze(tx: Tx, body: Snooze) -> Escalation:
    """Let the escalation of an open item rest until a time, also before it has begun; a later word replaces it.

    Raises `NotFound`, `Conflict` for an item that is done, and `Invalid` for a time that has passed or is too far off.
    """
    if not tx.now < body.until <= tx.now + MAX_SNOOZE:
        raise Invalid(f"until must lie in the future, at most {MAX_SNOOZE.days} days from now.")
    row = await locked(tx, body.item_id)
    now = await tx.connection.fetchrow(SNOOZE, row["item"], row["episode"], body.until, tx.actor, body.reason)
    return await _told(tx, row, now, escalation_snoozed, body.reason, until=body.until)


async def wake(tx: Tx, body: Acknowledge) -> Escalation:
    """End a snooze; what is due by then is told at the next look. Raises `NotFound`, and `Conflict` if none runs."""
    row = await locked(tx, body.item_id)
    if row["snoozed_until"] is None or row["snoozed_until"] <= tx.now:
        raise Conflict(f"Item {body.item_id} is not snoozed.")
    now = await tx.connection.fetchrow(WAKE, row["item"], row["episode"], tx.now, body.reason)
    return await _told(tx, row, now, escalation_woken, body.reason)


async def locked(tx: Tx, item_id: int) -> asyncpg.Record:
    """The escalation's row, made if there is none, locked. Raises `NotFound`, `Conflict` for an item that is done."""
    item = await tx.connection.fetchrow(SELECT_ITEM, item_id, tx.site)
    if item is None:
        raise unknown(item_id)
    if not item["is_active"] or item["status"] == "done":
        raise Conflict(f"Item {item_id} is done, so nobody is told of it.")
    row = await tx.connection.fetchrow(LOCK_ESCALATION, item_id, item["episode"], tx.site)
    assert row is not None  # noqa: S101 - it was inserted, or was there
    return row


async def _told(tx: Tx, row: asyncpg.Record, now: Any, event: Event, reason: str | None, **more: Any) -> Escalation:
    more["changes"] = stated(dict(row), dict(now))
    changed = EscalationChanged(item_id=row["item"], episode=row["episode"], reason=reason, **more)
    tx.emit(event, changed, subject=str(row["item"]))
    return await _escalation(tx.connection, row["item"], tx.site, tx.now)


async def _escalation(source: Connection | asyncpg.Pool, item_id: int, site: str, now: Any) -> Escalation:
    row = await source.fetchrow(SELECT_ESCALATION, item_id, site)
    if row is None:
        raise unknown(item_id)
    found: Mapping[str, Any] | None = row["escalation"]
    if found is None:
        return Escalation(item_id=item_id, episode=row["episode"], state="none")
    steps = await source.fetch(SELECT_STEPS, item_id, row["episode"], MAX_STEPS_SHOWN)
    state = _state(found, now)
    chain = thaw(row["content"]) if row["content"] is not None else None
    return Escalation.model_validate(
        {
            **found,
            "item_id": item_id,
            "state": state,
            "chain": chain.name if chain is not None else None,
            "next_at": found["look_at"] if state in ("running", "snoozed", "waiting") else None,
            "steps": [StepTaken.model_validate(dict(step)) for step in steps],
        }
    )


def _state(found: Mapping[str, Any], now: Any) -> str:
    if found["acknowledged_at"] is not None:
        return "acknowledged"
    if found["snoozed_until"] is not None and found["snoozed_until"] > now:
        return "snoozed"
    if found["started_at"] is None:
        return "none"
    if found["resting"]:
        return "resting"
    if found["look_at"] is None:
        return "exhausted"
    return "waiting" if found["waiting"] else "running"


TABLE = Table(
    commands={
        contract.acknowledge: acknowledge,
        contract.unacknowledge: unacknowledge,
        contract.snooze: snooze,
        contract.wake: wake,
    },
    queries={contract.get_escalation: get_escalation},
)
