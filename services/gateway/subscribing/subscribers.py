"""Subscribers on the bus: make, remove, list; and what each of them may hear now.

Crash here means nothing: rows say what there should be, and `services.gateway.subscribing.durables` makes it so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg

from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import newly
from libs.common.contracts.gateway import subscribers as contract
from libs.common.contracts.gateway.subscribers import (
    MAX_FILTERS,
    MAX_SUBSCRIBERS,
    SubscriberChanged,
    SubscriberRemove,
    SubscriberSealed,
    SubscriberView,
    subscriber_created,
    subscriber_removed,
)
from libs.common.contracts.roles import may
from libs.common.permissions import inbox_prefix
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.common.topology import Topology
from services.gateway.domain.filters import names_of, shortest
from services.gateway.domain.scope import ALL, narrow, within
from services.gateway.identity.callers import permissions_of
from services.gateway.identity.sites import require_sites
from services.gateway.identity.users import SELECT_USER, acting_user
from services.gateway.sse import hidden_from

USER_PREFIX = "subscriber-"
NEEDS_ALL = "Subscribers of other users need the site scope *, which your token does not have."
_EVERY = frozenset(event.name for one in CONTRACTS.values() for event in one.events if event.stream == "events")

COLUMNS = f"""subscriber_id, name, label, owner, sites, types, start, '{USER_PREFIX}' || subscriber_id AS "user",
    '{inbox_prefix("subscriber")}.' || subscriber_id AS inbox_prefix, created_at, removed_at, made_at, checked_at,
    pending_count, unacked_count, acked_seq, last_ack_at, gap_at, gap_after_seq, gap_before_seq"""
COUNT_SUBSCRIBERS = "SELECT count(*) FROM subscribers WHERE owner = $1 AND removed_at IS NULL"
INSERT_SUBSCRIBER = f"""
INSERT INTO subscribers (name, label, owner, sites, types, start, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
LOCK_SUBSCRIBER = f"""
SELECT {COLUMNS} FROM subscribers WHERE subscriber_id = $1 FOR UPDATE
"""  # noqa: S608  only a constant of ours is put in
MARK_REMOVED = "UPDATE subscribers SET removed_at = $2 WHERE subscriber_id = $1"
SELECT_SUBSCRIBERS = f"""
SELECT {COLUMNS} FROM subscribers WHERE ($1::text IS NULL OR owner = $1) AND removed_at IS NULL
ORDER BY subscriber_id DESC LIMIT 1000
"""  # noqa: S608  only a constant of ours is put in


def visible(
    role: str, bound: frozenset[str] | None = None, own_permissions: Iterable[str] | None = None
) -> frozenset[str]:
    """The names of the events that a role may see, as far as a token is bound; none without `event:read`."""
    own = None if own_permissions is None else frozenset(own_permissions)
    permissions = permissions_of(role, bound, own)
    if "event:read" not in permissions:
        return frozenset()
    hidden = hidden_from(permissions)
    return frozenset(name for name in _EVERY if not any(pattern.fullmatch(name) for pattern in hidden))


def subjects(
    topology: Topology,
    sites: Iterable[str],
    types: Iterable[str],
    role: str,
    own_permissions: Iterable[str] | None = None,
) -> list[str]:
    """The filters of a durable, sorted; one that no event fits if there is nothing to hear."""
    ends = shortest(names_of(types, visible(role, None, own_permissions)), _EVERY)
    found = [topology.event_filter(None if site == ALL else site, end) for site in sites for end in ends]
    # No site is called _, so nothing is ever published there.
    return sorted(found) or [f"{topology.namespace}.event._.none.none.none"]


async def create_subscriber(tx: Tx, body: SubscriberSealed) -> SubscriberView:
    """Store a subscriber for oneself, or for another user by those who may write identity and come with all sites."""
    actor = await acting_user(tx.connection, tx.actor)
    owner = await tx.connection.fetchrow(SELECT_USER, body.owner or actor.username)
    if body.owner not in (None, actor.username):
        if not (body.for_others and may(actor.role, "identity:write")):
            raise Forbidden("You may make subscribers of your own only; ask an owner to make one for somebody else.")
        if ALL not in body.caller_sites:
            raise Forbidden(NEEDS_ALL)
    if owner is None:
        raise NotFound(f"There is no user {body.owner}.")
    if not owner["active"]:
        raise Conflict(f"The user {owner['username']} is not active.")
    if not body.sites:
        raise Invalid("sites must hold at least one site name, or * for all that the owner may see.")
    await require_sites(tx.connection, body.sites)
    reach = narrow(owner["sites"], body.caller_sites)
    if ALL not in body.sites and not within(body.sites, reach):
        raise Forbidden(f"A subscriber may only narrow the scope, which here is: {', '.join(reach) or 'no site'}.")
    _check_types(body, owner)
    # As wide as it was made, and no wider: a caller with a narrow token makes no subscriber of all sites.
    sites = list(narrow(body.sites, body.caller_sites))
    filters = len(
        subjects(Topology(), narrow(sites, owner["sites"]), body.types, owner["role"], owner["own_permissions"])
    )
    if filters > MAX_FILTERS:
        raise Invalid(f"These sites and types take {filters} filters, at most {MAX_FILTERS}: make two subscribers.")
    if await tx.connection.fetchval(COUNT_SUBSCRIBERS, owner["username"]) >= MAX_SUBSCRIBERS:
        raise Conflict(f"{owner['username']} has {MAX_SUBSCRIBERS} subscribers already; remove some first.")
    types = sorted(set(body.types))
    row = await tx.connection.fetchrow(
        INSERT_SUBSCRIBER, body.name, body.label, owner["username"], sites, types, body.start, tx.now
    )
    if row is None:
        raise Conflict(f"{owner['username']} has a subscriber {body.name} already; remove it, or take another name.")
    view = SubscriberView(**row)
    tx.emit(subscriber_created, view, subject=view.user)
    return view


def _check_types(body: SubscriberSealed, owner: asyncpg.Record) -> None:
    seen = visible(owner["role"], None, owner["own_permissions"])
    for pattern in body.types:
        if not names_of([pattern], _EVERY):
            raise Invalid(f"There is no event of the type {pattern}; /asyncapi.json lists them.")
        if not names_of([pattern], seen):
            raise Forbidden(f"The role {owner['role']} may see no event of the type {pattern}.")


async def remove_subscriber(tx: Tx, body: SubscriberRemove) -> SubscriberView:
    """Remove one's own, or anybody's by those who may write identity and come with all sites; others get `NotFound`."""
    actor = await acting_user(tx.connection, tx.actor)
    row = await tx.connection.fetchrow(LOCK_SUBSCRIBER, body.subscriber_id)
    others = body.for_others and may(actor.role, "identity:write")
    if row is None or (row["owner"] != actor.username and not others):
        raise NotFound(f"You have no subscriber {body.subscriber_id}.")
    if row["owner"] != actor.username and ALL not in body.caller_sites:
        raise Forbidden(NEEDS_ALL)
    if not within(narrow(actor.sites, row["sites"]), body.caller_sites):
        raise Forbidden(f"The subscriber {body.subscriber_id} reaches more sites than yours; come with a wider token.")
    if row["removed_at"] is not None:
        return SubscriberView(**row)
    await tx.connection.execute(MARK_REMOVED, body.subscriber_id, tx.now)
    view = SubscriberView(**{**row, "removed_at": tx.now})
    told = SubscriberChanged(**view.model_dump(), changes=newly(view, "removed_at"))
    tx.emit(subscriber_removed, told, subject=view.user)
    return view


async def list_subscribers(read: Read, _params: Nothing) -> list[SubscriberView]:
    """Newest first, at most 1,000, without the removed ones: one's own, or all for those who may read identity."""
    owner = None if "identity:read" in read.permissions else read.actor
    rows: list[Any] = await read.pool.fetch(SELECT_SUBSCRIBERS, owner)
    return [SubscriberView(**row) for row in rows]


TABLE = Table(
    commands={contract.create_subscriber: create_subscriber, contract.remove_subscriber: remove_subscriber},
    queries={contract.list_subscribers: list_subscribers},
)
