"""Deliveries in the words of the facility system's callers, and running retries of what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from libs.common.cloudevents import decode
from libs.common.contracts.base import Page
from libs.common.contracts.notifier import alerts as contract
from libs.common.contracts.notifier.alerts import (
    MAX_PAYLOAD_BYTES,
    AlertDelivery,
    AlertFilter,
    AlertRetries,
    AlertsRetried,
    Status,
)
from libs.common.contracts.notifier.deliveries import Retried, delivery_retried
from libs.common.contracts.roles import may_be_told
from libs.common.listing import Filter, Listing, newest
from libs.common.service import Read, Table, Tx
from services.notifier.deliveries import AGAIN
from services.notifier.targets import names_of_targets

STATES: Mapping[Status, tuple[str, ...]] = {
    "pending": ("pending", "delivering"),
    "success": ("delivered",),
    "warning": ("retrying",),
    "failed": ("dead",),
    "suppressed": ("suppressed",),
}
_STATUS = {state: status for status, states in STATES.items() for state in states}

LIST_ALERTS = Listing(
    table="delivery",
    columns="""delivery_id, event_name, event_id, target, state, error, attempt_count, last_attempt_at, created_at,
    greatest(created_at, last_attempt_at, ended_at, suppressed_at) AS updated_at""",
    scope={"site": "text"},
    filters={
        "subscription_id": "bigint",
        "channel_id": "bigint",
        "event_name": "text",
        "states": Filter("text[]", "state = ANY ({})"),
    },
    readings=(("subscription_id",), ("channel_id",)),
    order=newest("delivery_id"),
)
SELECT_PAYLOADS = """
SELECT event_id, payload FROM event WHERE event_id = ANY ($1::uuid[]) AND length(payload) <= $2
"""
# What was given up of the site, and what waits for its next try in the lanes of its subscriptions; the oldest first.
SELECT_FAILED = """
SELECT delivery_id FROM (
    SELECT delivery_id, target, event_name FROM delivery JOIN subscription USING (subscription_id)
    WHERE delivery.site = $1 AND state = 'dead' AND status <> 'removed' AND $4
    UNION ALL
    SELECT delivery_id, target, event_name FROM subscription
    JOIN delivery ON delivery.lane = subscription.subscription_id AND due_at IS NOT NULL
    WHERE subscription.site = $1 AND state = 'retrying' AND status <> 'removed' AND $5
) AS failed
WHERE ($2::bigint IS NULL OR target = $2) AND ($3::text IS NULL OR event_name = $3)
ORDER BY delivery_id LIMIT $6
"""
RETRY_FAILED = f"""
WITH locked AS MATERIALIZED (
    SELECT delivery_id FROM delivery
    WHERE delivery_id = ANY ($1::bigint[]) AND site = $2 AND state IN ('dead', 'retrying')
    ORDER BY delivery_id FOR UPDATE
)
UPDATE delivery SET {AGAIN} FROM locked WHERE delivery.delivery_id = locked.delivery_id RETURNING delivery.delivery_id
"""  # noqa: S608 - our own text


async def list_alerts(read: Read, wanted: AlertFilter) -> Page[AlertDelivery]:
    """A page of the site's deliveries, newest first. Raises `Invalid`."""
    target = wanted.target
    given = {
        "site": read.site,
        "subscription_id": target if target is not None and target >= 0 else None,
        "channel_id": -target if target is not None and target < 0 else None,
        "event_name": wanted.event_type,
        "states": None if wanted.status is None else list(STATES[wanted.status]),
    }
    found = await LIST_ALERTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    names = await names_of_targets(read.pool, {row["target"] for row in found.rows})
    seen = [row["event_id"] for row in found.rows if may_be_told(read.permissions, row["event_name"])]
    events = {
        row["event_id"]: decode(row["payload"]).document
        for row in await read.pool.fetch(SELECT_PAYLOADS, seen, MAX_PAYLOAD_BYTES)
    }
    items = [_shown(row, names, events) for row in found.rows]
    return Page[AlertDelivery](items=items, next_cursor=found.next_cursor)


def _shown(row: asyncpg.Record, names: Mapping[int, str], events: Mapping[Any, Any]) -> AlertDelivery:
    return AlertDelivery(
        **{name: row[name] for name in (
            "event_id", "target", "error", "attempt_count", "last_attempt_at", "created_at", "updated_at")},
        id=row["delivery_id"],
        event_type=row["event_name"],
        name=names.get(row["target"], ""),
        status=_STATUS[row["state"]],
        attempted=row["attempt_count"] > 0,
        dispatched=row["state"] == "delivered",
        payload_json=events.get(row["event_id"]),
    )  # fmt: skip


async def retry_alerts(tx: Tx, body: AlertRetries) -> AlertsRetried:
    """Send now what failed. What a circuit holds back stays held back."""
    rows = await tx.connection.fetch(
        SELECT_FAILED, tx.site, body.target, body.event_type, body.status in ("failed", "all"),
        body.status in ("warning", "all"), body.limit + 1,
    )  # fmt: skip
    ids = [row["delivery_id"] for row in rows[: body.limit]]
    if not body.dry_run and ids:
        ids = sorted(row["delivery_id"] for row in await tx.connection.fetch(RETRY_FAILED, ids, tx.site, tx.now))
    told = Retried(retried_count=0 if body.dry_run else len(ids))
    tx.emit(delivery_retried, told, subject=tx.site)
    return AlertsRetried(
        retried_count=told.retried_count, dry_run=body.dry_run, more=len(rows) > body.limit, delivery_ids=ids
    )


TABLE = Table(commands={contract.retry_alerts: retry_alerts}, queries={contract.list_alerts: list_alerts})
