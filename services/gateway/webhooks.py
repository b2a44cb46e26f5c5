"""Webhooks: make, change, rotate, remove, list. Their secrets never reach this module, only salts that open nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from libs.common.changes import PREFIX, was
from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import FieldChange, stated
from libs.common.contracts.gateway import webhooks as contract
from libs.common.contracts.gateway.webhooks import (
    WebhookChange,
    WebhookChanged,
    WebhookIssued,
    WebhookKey,
    WebhookRotateSealed,
    WebhookSealed,
    WebhookView,
    webhook_changed,
    webhook_created,
)
from libs.common.contracts.senders import WebhookMapping
from libs.common.problems import Conflict, NotFound
from libs.common.service import Read, Table, Tx
from services.gateway.identity.guard import require_revision
from services.gateway.identity.users import WORKS

MAX_WEBHOOKS = 200  # of one site, at one time

# Whoever was shown the secret last is not active any more, and still knows it.
ORPHANED = f"""
EXISTS (SELECT FROM users WHERE users.username = coalesce(webhooks.secret_by, webhooks.created_by) AND NOT {WORKS})
"""
COLUMNS = f"""webhook_id, site, name, system, mapping, label, fingerprint, created_at, created_by, rotated_at,
    coalesce(webhooks.secret_by, created_by) AS secret_by, {ORPHANED} AS orphaned,
    previous_until, removed_at, revision, '/api/webhooks/' || webhook_id AS path"""
COUNT_WEBHOOKS = "SELECT count(*) FROM webhooks WHERE site = $1 AND removed_at IS NULL"
INSERT_WEBHOOK = f"""
INSERT INTO webhooks (webhook_id, site, name, system, mapping, label, salt, fingerprint, created_at, created_by)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
_STATED = ("mapping", "fingerprint", "rotated_at", "previous_until", "removed_at")
_KEY = "webhook_id"
_LIVING = "webhook_id = $1 AND site = $2 AND removed_at IS NULL"
LOCK_REVISION = f"SELECT revision FROM webhooks WHERE {_LIVING} FOR UPDATE"  # noqa: S608  only a constant of ours
CHANGE_MAPPING = f"""
UPDATE webhooks SET mapping = $3::text::jsonb, revision = revision + 1
FROM {was("webhooks", _STATED, _KEY, _LIVING)} RETURNING {COLUMNS}, was.*
"""  # noqa: S608  only a constant of ours is put in
ROTATE_SECRET = f"""
UPDATE webhooks SET previous_salt = salt, salt = $3, fingerprint = $4, rotated_at = $6, secret_by = $7,
    revision = revision + 1, previous_until = CASE WHEN {ORPHANED} THEN $6::timestamptz ELSE $5::timestamptz END
FROM {was("webhooks", _STATED, _KEY, _LIVING)} RETURNING {COLUMNS}, was.*
"""  # noqa: S608  only a constant of ours is put in
REMOVE_WEBHOOK = f"""
UPDATE webhooks SET removed_at = coalesce(removed_at, $3), revision = revision + 1
FROM {was("webhooks", _STATED, _KEY, "webhook_id = $1 AND site = $2")} RETURNING {COLUMNS}, was.*
"""  # noqa: S608  only a constant of ours is put in
SELECT_WEBHOOKS = f"""
SELECT {COLUMNS} FROM webhooks WHERE site = $1 ORDER BY created_at DESC, webhook_id LIMIT 1000
"""  # noqa: S608  only a constant of ours is put in


async def create_webhook(tx: Tx, body: WebhookSealed) -> WebhookIssued:
    """Store a webhook of the site. Raises `Conflict` if the name is taken, or there are too many."""
    if await tx.connection.fetchval(COUNT_WEBHOOKS, tx.site) >= MAX_WEBHOOKS:
        raise Conflict(f"The site {tx.site} has {MAX_WEBHOOKS} webhooks already; remove some first.")
    row = await tx.connection.fetchrow(
        INSERT_WEBHOOK,
        body.webhook_id,
        tx.site,
        body.name,
        body.system,
        mapping_of(body),
        body.label,
        body.salt,
        body.fingerprint,
        tx.now,
        tx.actor,
    )
    if row is None:
        raise Conflict(f"The site {tx.site} has a webhook {body.name} already; remove it, or take another name.")
    tx.emit(webhook_created, _view(row), subject=body.webhook_id)
    return WebhookIssued(**_values(row))


async def change_webhook(tx: Tx, body: WebhookChange) -> WebhookView:
    """Give a webhook another mapping. Raises `NotFound`, also for one of another site or that was removed.

    Raises `PreconditionFailed` if it has changed since the caller read it.
    """
    revision = await tx.connection.fetchval(LOCK_REVISION, body.webhook_id, tx.site)
    if revision is not None:
        require_revision("the webhook", revision, body.if_revision)
    mapping = mapping_of(body)
    return _changed(tx, await tx.connection.fetchrow(CHANGE_MAPPING, body.webhook_id, tx.site, mapping))


async def rotate_webhook(tx: Tx, body: WebhookRotateSealed) -> WebhookIssued:
    """Give a webhook another secret; the one before is good for ``overlap_hours`` more. Raises `NotFound`.

    Without an overlap where whoever knows the one before is not active any more.
    """
    until = tx.now + timedelta(hours=body.overlap_hours)
    row = await tx.connection.fetchrow(
        ROTATE_SECRET, body.webhook_id, tx.site, body.salt, body.fingerprint, until, tx.now, tx.actor
    )
    return WebhookIssued(**_changed(tx, row).model_dump())


async def remove_webhook(tx: Tx, body: WebhookKey) -> WebhookView:
    """Take no delivery of it any more. Raises `NotFound`, also for one of another site."""
    return _changed(tx, await tx.connection.fetchrow(REMOVE_WEBHOOK, body.webhook_id, tx.site, tx.now))


async def list_webhooks(read: Read, _params: Nothing) -> list[WebhookView]:
    """The site's webhooks, removed ones too, at most 1,000."""
    return [_view(row) for row in await read.pool.fetch(SELECT_WEBHOOKS, read.site)]


def _changed(tx: Tx, row: Any) -> WebhookView:
    if row is None:
        raise NotFound("There is no such webhook in this site; GET /api/webhooks lists them.")
    view = _view(row)
    tx.emit(webhook_changed, WebhookChanged(**view.model_dump(), changes=_changes(row)), subject=view.webhook_id)
    return view


def _changes(row: Any) -> list[FieldChange]:
    """What a change changed. Another fingerprint is another secret, of which nothing is told."""
    before, after = ({**_flat(row, prefix)} for prefix in (PREFIX, ""))
    return stated(before, after, masked=("secret",))


def _flat(row: Any, prefix: str) -> dict[str, Any]:
    found = {name: row[prefix + name] for name in _STATED}
    return {**found.pop("mapping"), "secret": found.pop("fingerprint"), **found}


def mapping_of(body: WebhookMapping) -> str:
    """The fields of the mapping alone, as JSON."""
    return body.model_dump_json(include=set(WebhookMapping.model_fields))


def _view(row: Any) -> WebhookView:
    return WebhookView(**_values(row))


def _values(row: Any) -> dict[str, Any]:
    return {**row, **row["mapping"]}


TABLE = Table(
    commands={
        contract.create_webhook: create_webhook,
        contract.change_webhook: change_webhook,
        contract.rotate_webhook: rotate_webhook,
        contract.remove_webhook: remove_webhook,
    },
    queries={contract.list_webhooks: list_webhooks},
)
