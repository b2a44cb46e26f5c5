"""Subscriptions: make, change, rotate, pause, resume, test, remove, list. Their secrets arrive here encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from libs.common.changes import changes_in, was
from libs.common.columns import listed, names_of, placed
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event, Page
from libs.common.contracts.notifier import subscriptions as contract
from libs.common.contracts.notifier.channels import WEBHOOK
from libs.common.contracts.notifier.subscriptions import (
    MAX_SUBSCRIPTIONS,
    SubscriptionChange,
    SubscriptionChanged,
    SubscriptionFields,
    SubscriptionFilter,
    SubscriptionIssued,
    SubscriptionKey,
    SubscriptionPause,
    SubscriptionRotateSealed,
    SubscriptionSealed,
    SubscriptionTested,
    SubscriptionView,
    shown_endpoint,
)
from libs.common.listing import Filter, Listing, newest
from libs.common.outbound import Outbound, OutboundError
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.cel import BadExpression, compile_condition
from services.notifier import people
from services.notifier.domain.matching import type_pattern
from services.notifier.domain.quiet import all_week
from services.notifier.guarding import recovery
from services.notifier.paces import windows_of
from services.notifier.roll import RAISE_NUMBER, VARIABLES
from services.notifier.words.templates import need_template

_VIEW = listed(names_of(SubscriptionView))
_FIELDS = names_of(SubscriptionFields)
COUNT_SUBSCRIPTIONS = "SELECT count(*) FROM subscription WHERE site = $1 AND status <> 'removed'"
_STATED = (*_FIELDS, "status", "status_reason", "fingerprint", "rotated_at", "previous_until")
MASKED = {"fingerprint": "secret", "endpoint": "endpoint"}  # an endpoint may hold a secret, too
_was = partial(was, "subscription", _STATED, "subscription_id")  # for the FROM of an UPDATE, by its condition
_PLACES = ", ".join(f"${place}" for place in range(7, 7 + len(_FIELDS)))
INSERT_SUBSCRIPTION = f"""
INSERT INTO subscription (site, owner, secret, fingerprint, created_at, channel_id, {listed(_FIELDS)}, status,
    status_reason, changed_by, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, {_PLACES}, 'active', '', $2, $5) RETURNING {_VIEW}
"""  # noqa: S608 - names of our own classes
CHANGE_SUBSCRIPTION = f"""
UPDATE subscription SET changed_by = $3, changed_at = $4, channel_id = $5, {placed(_FIELDS, 6)}
FROM {_was("subscription_id = $1 AND site = $2 AND status <> 'removed'")} RETURNING {_VIEW}, was.*
"""  # noqa: S608
ROTATE_SUBSCRIPTION = f"""
UPDATE subscription SET changed_by = $3, changed_at = $4, rotated_at = $4, previous_secret = secret,
    previous_fingerprint = fingerprint, previous_until = $5, secret = $6, fingerprint = $7
FROM {_was("subscription_id = $1 AND site = $2 AND status <> 'removed'")} RETURNING {_VIEW}, was.*
"""  # noqa: S608
SET_STATUS = f"""
UPDATE subscription SET changed_by = $3, changed_at = $4, status = $5, status_reason = $6
FROM {_was("subscription_id = $1 AND site = $2 AND status = ANY ($7::text[])")} RETURNING {_VIEW}, was.*
"""  # noqa: S608
SELECT_TO_CHANGE = """
SELECT status, channel_id, endpoint FROM subscription WHERE subscription_id = $1 AND site = $2 FOR UPDATE
"""
# What waits goes where the subscription leads from now on.
MOVE_WAITING = """
UPDATE delivery SET channel_id = $2, due_at = coalesce(due_at, $3), suppressed_at = NULL,
    state = CASE WHEN state <> 'suppressed' THEN state WHEN attempt_count > 0 THEN 'retrying' ELSE 'pending' END
WHERE lane = $1 AND (due_at IS NOT NULL OR state = 'suppressed') AND channel_id <> $2
"""
# What waits for a night or a digest that are others now is looked at again.
WAKE_WAITING = """
UPDATE delivery SET due_at = $2 WHERE lane = $1 AND pace <> 'now' AND state = 'pending' AND due_at > $2
"""
SELECT_CHANNEL = """
SELECT channel_id, kind FROM channel WHERE site = $1 AND person = '' AND name = $2 AND status <> 'removed' FOR SHARE
"""
DROP_WAITING = """
UPDATE delivery SET state = 'dead', due_at = NULL, ended_at = $2, error = 'The subscription was removed.'
WHERE lane = $1 AND (due_at IS NOT NULL OR state = 'suppressed')
"""
SELECT_SUBSCRIPTION = f"SELECT {_VIEW} FROM subscription WHERE subscription_id = $1 AND site = $2"  # noqa: S608
LIST_SUBSCRIPTIONS = Listing(
    table="subscription",
    columns=_VIEW,
    scope={"site": "text"},
    filters={"status": "text", "present": Filter("boolean", "(status <> 'removed') = {}")},
    readings=(("status",),),
    order=newest("subscription_id"),
)
ONE_BY_ONE = frozenset({"pagerduty"})  # kinds of channels that take one event at a time
_LIVING = ("active", "paused", "disabled")


async def create_subscription(outbound: Outbound, tx: Tx, body: SubscriptionSealed) -> SubscriptionIssued:
    """Store a subscription of the caller. Raises `Invalid`, `Conflict`, `Unavailable`."""
    await _check(outbound, body)
    await people.learn(tx)
    await tx.connection.execute(RAISE_NUMBER)
    channel_id = await _channel(tx, body)
    if await tx.connection.fetchval(COUNT_SUBSCRIPTIONS, tx.site) >= MAX_SUBSCRIPTIONS:
        raise Conflict(f"The site {tx.site} has {MAX_SUBSCRIPTIONS} subscriptions; remove some first.")
    if channel_id is None and body.secret is None:
        raise Invalid("channel: a subscription to an endpoint needs a secret, which the edge makes.")
    signing = (body.secret or "", body.fingerprint or "")
    row = await tx.connection.fetchrow(
        INSERT_SUBSCRIPTION, tx.site, tx.actor, *signing, tx.now, channel_id, *_values(body)
    )
    assert row is not None  # noqa: S101 - an INSERT returns its row
    tx.emit(contract.subscription_created, SubscriptionView(**row), subject=str(row["subscription_id"]))
    return SubscriptionIssued(**row)


async def change_subscription(outbound: Outbound, tx: Tx, body: SubscriptionChange) -> SubscriptionView:
    """Give a subscription other fields. Raises `Invalid`, `NotFound`."""
    await tx.connection.execute(RAISE_NUMBER)
    known = await tx.connection.fetchrow(SELECT_TO_CHANGE, body.subscription_id, tx.site)
    if known is None:
        raise _unknown(body.subscription_id)
    if body.endpoint and body.endpoint == shown_endpoint(known["endpoint"]):  # as it was read: no other address
        body = body.model_copy(update={"endpoint": known["endpoint"]})
    await _check(outbound, body)
    channel_id = await _channel(tx, body)
    if (channel_id is None) != (known["channel_id"] is None):
        raise Invalid(
            "channel: what is signed and what goes to a channel are not changed into each other; make a new one."
        )
    key = (body.subscription_id, tx.site, tx.actor, tx.now)
    await tx.connection.execute(recovery.PROBE_SOON, -channel_id if channel_id else body.subscription_id, tx.now)
    view = _told(tx, await tx.connection.fetchrow(CHANGE_SUBSCRIPTION, *key, channel_id, *_values(body)))
    if channel_id is not None and channel_id != known["channel_id"]:
        await tx.connection.execute(MOVE_WAITING, body.subscription_id, channel_id, tx.now)
    if channel_id is not None:
        await tx.connection.execute(WAKE_WAITING, body.subscription_id, tx.now)
    return view


async def rotate_subscription(tx: Tx, body: SubscriptionRotateSealed) -> SubscriptionIssued:
    """Sign with another secret, and with the one before for ``overlap_hours`` more. Raises `NotFound`, `Conflict`."""
    if (known := await find(tx.connection, body.subscription_id, tx.site)).channel != WEBHOOK:
        raise Conflict(f"What goes to the channel {known.channel} is not signed; change the channel's address instead.")
    until = tx.now + timedelta(hours=body.overlap_hours)
    row = await tx.connection.fetchrow(
        ROTATE_SUBSCRIPTION, body.subscription_id, tx.site, tx.actor, tx.now, until, body.secret, body.fingerprint
    )
    return SubscriptionIssued(**_told(tx, row).model_dump())


async def pause_subscription(tx: Tx, body: SubscriptionPause) -> SubscriptionView:
    """Send nothing until it is resumed. Raises `NotFound`, `Conflict`."""
    return await _set_status(tx, body.subscription_id, "paused", body.reason or "", ("active",))


async def resume_subscription(tx: Tx, body: SubscriptionKey) -> SubscriptionView:
    """Go on; what waited is sent now. Raises `NotFound`, `Conflict`."""
    await tx.connection.execute(recovery.PROBE_SOON, body.subscription_id, tx.now)
    return await _set_status(tx, body.subscription_id, "active", "", ("paused", "disabled"))


async def remove_subscription(tx: Tx, body: SubscriptionKey) -> SubscriptionView:
    """Send nothing any more; what waited is given up. Raises `NotFound`."""
    view = await _set_status(tx, body.subscription_id, "removed", "", _LIVING)
    await tx.connection.execute(DROP_WAITING, body.subscription_id, tx.now)
    await tx.connection.execute(recovery.FORGET_TARGET, body.subscription_id)
    return view


async def _set_status(
    tx: Tx, subscription_id: int, status: str, reason: str, before: Sequence[str]
) -> SubscriptionView:
    await tx.connection.execute(RAISE_NUMBER)
    row = await tx.connection.fetchrow(
        SET_STATUS, subscription_id, tx.site, tx.actor, tx.now, status, reason, list(before)
    )
    if row is None:
        known = await find(tx.connection, subscription_id, tx.site)
        raise Conflict(f"The subscription {subscription_id} is {known.status}, so it can't become {status}.")
    return _told(tx, row)


async def test_subscription(tx: Tx, body: SubscriptionKey) -> SubscriptionTested:
    """Tell of a sample, which comes back as an event for this subscription alone. Raises `NotFound`, `Conflict`."""
    known = await find(tx.connection, body.subscription_id, tx.site)
    if known.status != "active":
        raise Conflict(f"The subscription {body.subscription_id} is {known.status}; resume it first.")
    told = SubscriptionTested(subscription_id=body.subscription_id, asked_by=tx.actor)
    event_id = tx.emit(contract.subscription_tested, told, subject=str(body.subscription_id))
    return told.model_copy(update={"event_id": event_id})


async def list_subscriptions(read: Read, wanted: SubscriptionFilter) -> Page[SubscriptionView]:
    """A page of the site's subscriptions, newest first. Raises `Invalid`."""
    given = {"site": read.site, "status": wanted.status, "present": None if wanted.status else True}
    found = await LIST_SUBSCRIPTIONS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[SubscriptionView](items=[SubscriptionView(**row) for row in found.rows], next_cursor=found.next_cursor)


async def show_subscription(read: Read, key: SubscriptionKey) -> SubscriptionView:
    """One subscription, also a removed one. Raises `NotFound`."""
    return await find(read.pool, key.subscription_id, read.site)


async def find(source: Any, subscription_id: int, site: str) -> SubscriptionView:
    """The site's subscription, off a pool or a connection. Raises `NotFound`."""
    row = await source.fetchrow(SELECT_SUBSCRIPTION, subscription_id, site)
    if row is None:
        raise _unknown(subscription_id)
    return SubscriptionView(**row)


def _unknown(subscription_id: int) -> NotFound:
    return NotFound(f"There is no subscription {subscription_id} in this site; GET /api/subscriptions lists them.")


def _told(tx: Tx, row: asyncpg.Record | None) -> SubscriptionView:
    if row is None:
        raise NotFound(
            "There is no such subscription in this site, or it was removed; GET /api/subscriptions lists them."
        )
    told = SubscriptionChanged(**row, changes=changes_in(row, MASKED))
    tx.emit(contract.subscription_changed, told, subject=str(told.subscription_id))
    return SubscriptionView(**row)


def _values(body: SubscriptionFields) -> list[Any]:
    given = body.model_dump()
    return [given[name] for name in _FIELDS]


async def _channel(tx: Tx, body: SubscriptionFields) -> int | None:
    """The number of the channel that is named, which is not removed meanwhile. Raises `Invalid`."""
    if body.channel == WEBHOOK:
        return None
    found = await tx.connection.fetchrow(SELECT_CHANNEL, tx.site, body.channel)
    if found is None:
        raise Invalid(
            f"channel: the site {tx.site} has no channel {body.channel}; GET /api/channels lists them, or say "
            f"{WEBHOOK} and give an endpoint."
        )
    if body.digest_minutes and found["kind"] in ONE_BY_ONE:
        raise Invalid(
            f"digest_minutes: {found['kind']} opens and resolves incidents one by one, so nothing is gathered for it; "
            "leave digest_minutes out."
        )
    if body.template is not None:
        await need_template(tx, body.template)
    number: int = found["channel_id"]
    return number


async def _check(outbound: Outbound, body: SubscriptionFields) -> None:
    """Raise `Invalid` for a type that no event has, a condition that can't be compiled, an address not to be called."""
    names = [name for known in CONTRACTS.values() for name, one in known.by_name.items() if isinstance(one, Event)]
    types = [("event_types", one) for one in body.event_types]
    for field, wanted in (*types, *(("urgent_event_types", one) for one in body.urgent_event_types)):
        pattern = type_pattern((wanted,))
        if not any(pattern.fullmatch(name) for name in names):
            raise Invalid(f"{field}: no event is called {wanted}; docs/reference/events.md lists them all.")
    if all_week(windows_of(body.quiet_hours)):
        raise Invalid("quiet_hours: these leave no minute of a week in which anything is sent; shorten them.")
    if body.condition:
        try:
            compile_condition(body.condition, VARIABLES)
        except BadExpression as error:
            raise Invalid(f"condition: {error.message} (line {error.line}, column {error.column})") from None
    if body.channel != WEBHOOK:
        return
    try:
        await outbound.check(body.endpoint)
    except OutboundError as error:
        raise Invalid(f"endpoint: {error.sentence}") from None


def table(outbound: Outbound) -> Table:
    """What this module answers; addresses are looked at as ``outbound`` would call them."""
    return Table(
        commands={
            contract.create_subscription: partial(create_subscription, outbound),
            contract.change_subscription: partial(change_subscription, outbound),
            contract.rotate_subscription: rotate_subscription,
            contract.pause_subscription: pause_subscription,
            contract.resume_subscription: resume_subscription,
            contract.test_subscription: test_subscription,
            contract.remove_subscription: remove_subscription,
        },
        queries={
            contract.list_subscriptions: list_subscriptions,
            contract.show_subscription: show_subscription,
        },
    )
