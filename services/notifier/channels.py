"""Channels: make, change, disable, test, remove, list; a site's, and a person's own. Their addresses come encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from libs.common.changes import changes_in, was
from libs.common.columns import listed, names_of
from libs.common.contracts.base import Page
from libs.common.contracts.notifier import channels as contract
from libs.common.contracts.notifier.channels import (
    EVERY_SITE,
    MAX_CHANNELS,
    MAX_OWN_CHANNELS,
    ChannelChanged,
    ChannelChangeSealed,
    ChannelDisable,
    ChannelFields,
    ChannelFilter,
    ChannelKey,
    ChannelSealed,
    ChannelStop,
    ChannelStopped,
    ChannelTested,
    ChannelView,
    channel_place,
)
from libs.common.contracts.notifier.subscriptions import SubscriptionChanged, SubscriptionView, subscription_changed
from libs.common.listing import Filter, Listing, newest
from libs.common.outbound import OutboundError
from libs.common.personal import PERMISSION, masked_mail
from libs.common.problems import Conflict, Invalid, NotFound, Unavailable
from libs.common.service import Read, Table, Tx
from libs.common.vault import VaultError
from services.notifier import people
from services.notifier.guarding import recovery
from services.notifier.kinds.ways import Ways
from services.notifier.roll import RAISE_NUMBER
from services.notifier.words.templates import need_template

_VIEW = listed(names_of(ChannelView))
COUNT_CHANNELS = "SELECT count(*) FROM channel WHERE site = $1 AND person = $2 AND status <> 'removed'"
INSERT_CHANNEL = f"""
INSERT INTO channel (site, person, created_by, changed_by, created_at, changed_at, name, kind, language, secret,
    fingerprint, address_shown, template, status, status_reason)
VALUES ($1, $2, $3, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11, 'active', '') ON CONFLICT DO NOTHING RETURNING {_VIEW}
"""  # noqa: S608 - names of our own class
SELECT_NAMED = """
SELECT channel_id FROM channel WHERE site = $1 AND person = $2 AND name = $3 AND status <> 'removed'
"""
_STATED = ("name", "language", "template", "status", "status_reason", "fingerprint")
MASKED = {"fingerprint": "address"}  # another fingerprint is another address
_was = partial(was, "channel", _STATED, "channel_id")  # for the FROM of an UPDATE, by its condition
_MINE = "channel_id = $1 AND site = $2 AND person = $3"
CHANGE_CHANNEL = f"""
UPDATE channel SET changed_by = $4, changed_at = $5, name = $6, language = $7, secret = coalesce($8, secret),
    fingerprint = coalesce($9, fingerprint), address_shown = coalesce($10, address_shown), template = $11
FROM {_was(f"{_MINE} AND status <> 'removed'")} RETURNING {_VIEW}, fingerprint, was.*
"""  # noqa: S608
NAME_IN_SUBSCRIPTIONS = "UPDATE subscription SET channel = $2 WHERE channel_id = $1"
SET_CHANNEL_STATUS = f"""
UPDATE channel SET changed_by = $4, changed_at = $5, status = $6, status_reason = $7
FROM {_was(f"{_MINE} AND status = ANY ($8::text[])")} RETURNING {_VIEW}, fingerprint, was.*
"""  # noqa: S608
SELECT_USERS = """
SELECT subscription_id FROM subscription WHERE channel_id = $1 AND status <> 'removed' ORDER BY subscription_id LIMIT 20
"""
DROP_WAITING = """
UPDATE delivery SET state = 'dead', due_at = NULL, ended_at = $2, error = 'The channel was removed.'
WHERE lane = $1 AND (due_at IS NOT NULL OR state = 'suppressed')
"""
UNSUBSCRIBED = "Somebody unsubscribed by the link in a mail."
SELECT_ADDRESS = "SELECT fingerprint FROM channel WHERE channel_id = $1 AND status <> 'removed' FOR UPDATE"
STOP_CHANNEL = f"""
UPDATE channel SET status = 'disabled', status_reason = $2, changed_by = $3, changed_at = $4
FROM {_was("channel_id = $1 AND status = 'active'")} RETURNING {_VIEW}, fingerprint, was.*
"""  # noqa: S608
_subscription_was = partial(was, "subscription", ("status", "status_reason"), "subscription_id")
STOP_SUBSCRIPTION = f"""
UPDATE subscription SET status = 'paused', status_reason = $2, changed_by = $3, changed_at = $4
FROM {_subscription_was("subscription_id = $1 AND channel_id = $5 AND status = 'active'")}
RETURNING {listed(names_of(SubscriptionView))}, was.*
"""  # noqa: S608
SELECT_CHANNEL = f"SELECT {_VIEW} FROM channel WHERE channel_id = $1 AND site = $2 AND person = $3"  # noqa: S608
# Whoever reads there has not always asked for it: nobody floods them with samples.
TEST_EVERY = timedelta(seconds=30)
MARK_TESTED = """
UPDATE channel SET settings = jsonb_set(settings, '{tested_at}', to_jsonb($2::timestamptz))
WHERE channel_id = $1
    AND coalesce((settings ->> 'tested_at')::timestamptz, '-infinity') <= $2::timestamptz - $3::interval
RETURNING channel_id
"""
LIST_CHANNELS = Listing(
    table="channel",
    columns=_VIEW,
    scope={"site": "text", "person": "text"},
    filters={"status": "text", "present": Filter("boolean", "(status <> 'removed') = {}")},
    readings=(("status",),),
    order=newest("channel_id"),
)
_LIVING = ("active", "disabled")


async def create_channel(ways: Ways, own: bool, tx: Tx, body: ChannelSealed) -> ChannelView:
    """Store a channel of the site, or of the caller. Raises `Invalid`, `Conflict`, `Unavailable`."""
    await _check(ways, body.kind, body.secret, body.fingerprint)
    await people.learn(tx)
    await tx.connection.execute(RAISE_NUMBER)  # its lock puts those who make channels in order
    site, person = _scope(tx, own)
    await _check_template(tx, own, body)
    most = MAX_OWN_CHANNELS if own else MAX_CHANNELS
    if await tx.connection.fetchval(COUNT_CHANNELS, site, person) >= most:
        raise Conflict(f"There are {most} channels, as many as there may be; remove some first.")
    row = await tx.connection.fetchrow(
        INSERT_CHANNEL, site, person, tx.actor, tx.now, body.name, body.kind, body.language, body.secret,
        body.fingerprint, body.address_shown, body.template,
    )  # fmt: skip
    if row is None:
        raise _taken(body.name)
    view = ChannelView(**row)
    told = view.model_copy(update={"address_shown": masked_mail(view.address_shown)})  # events go to many and stay
    tx.emit(contract.channel_created, told, subject=str(view.channel_id))
    return view


async def change_channel(ways: Ways, own: bool, tx: Tx, body: ChannelChangeSealed) -> ChannelView:
    """Give a channel another name, language or address. Raises `Invalid`, `NotFound`, `Conflict`."""
    if body.secret is not None and body.fingerprint is not None:
        await _check(ways, body.kind, body.secret, body.fingerprint)
    await tx.connection.execute(RAISE_NUMBER)
    known = await _find(tx.connection, body.channel_id, *_scope(tx, own))
    if body.kind != known.kind:
        raise Invalid(f"kind: the channel {known.name} is of the kind {known.kind}; make another one for {body.kind}.")
    same = await tx.connection.fetchval(SELECT_NAMED, known.site, known.person, body.name)
    if same not in (None, body.channel_id):
        raise _taken(body.name)
    await _check_template(tx, own, body)
    row = await tx.connection.fetchrow(
        CHANGE_CHANNEL, body.channel_id, known.site, known.person, tx.actor, tx.now, body.name, body.language,
        body.secret, body.fingerprint, body.address_shown, body.template,
    )  # fmt: skip
    if body.name != known.name:
        await tx.connection.execute(NAME_IN_SUBSCRIPTIONS, body.channel_id, body.name)
    await tx.connection.execute(recovery.PROBE_SOON, -body.channel_id, tx.now)
    return _told(tx, row)


async def _check_template(tx: Tx, own: bool, body: ChannelFields) -> None:
    """Raise `Invalid` for a template that the site has not. Of one's own channel it is each site's of that name."""
    if not own and body.template is not None:
        await need_template(tx, body.template)


async def disable_channel(own: bool, tx: Tx, body: ChannelDisable) -> ChannelView:
    """Send it nothing until it is enabled. Raises `NotFound`, `Conflict`."""
    return await _set_status(tx, own, body.channel_id, "disabled", body.reason or "", ("active",))


async def enable_channel(own: bool, tx: Tx, body: ChannelKey) -> ChannelView:
    """Go on; what waited is sent now. Raises `NotFound`, `Conflict`."""
    await tx.connection.execute(recovery.PROBE_SOON, -body.channel_id, tx.now)
    return await _set_status(tx, own, body.channel_id, "active", "", ("disabled",))


async def remove_channel(own: bool, tx: Tx, body: ChannelKey) -> ChannelView:
    """Send it nothing any more; what waited is given up. Raises `NotFound`, `Conflict` while it is subscribed to."""
    await tx.connection.execute(RAISE_NUMBER)  # before the look: who subscribes meanwhile waits for this
    if users := [row["subscription_id"] for row in await tx.connection.fetch(SELECT_USERS, body.channel_id)]:
        known = await _find(tx.connection, body.channel_id, *_scope(tx, own))
        numbers = ", ".join(map(str, users))
        raise Conflict(f"The channel {known.name} is used by subscriptions ({numbers}); change or remove them first.")
    view = await _set_status(tx, own, body.channel_id, "removed", "", _LIVING)
    await tx.connection.execute(DROP_WAITING, -body.channel_id, tx.now)
    await tx.connection.execute(recovery.FORGET_TARGET, -body.channel_id)
    return view


async def test_channel(own: bool, tx: Tx, body: ChannelKey) -> ChannelTested:
    """Tell of a sample, which comes back as an event for this channel alone. Raises `NotFound`, `Conflict`."""
    known = await _find(tx.connection, body.channel_id, *_scope(tx, own))
    if known.status != "active":
        raise Conflict(f"The channel {known.name} is {known.status}; enable it first.")
    if await tx.connection.fetchval(MARK_TESTED, known.channel_id, tx.now, TEST_EVERY) is None:
        raise Conflict(
            f"The channel {known.name} was sent a sample within the last {TEST_EVERY.seconds} s; look there, then ask "
            "again."
        )
    told = ChannelTested(channel_id=known.channel_id, name=known.name, asked_by=tx.actor)
    event_id = tx.emit(contract.channel_tested, told, subject=str(known.channel_id))
    return told.model_copy(update={"event_id": event_id})


async def stop_channel(tx: Tx, body: ChannelStop) -> ChannelStopped:
    """Who got a mail wants no more of its kind; asking twice changes nothing more. Raises `NotFound`.

    The edge has opened the link: it is the authority, whoever the caller is.
    """
    await tx.connection.execute(RAISE_NUMBER)
    if await tx.connection.fetchval(SELECT_ADDRESS, body.channel_id) != body.fingerprint:
        raise NotFound("The channel is gone, or leads elsewhere since.")
    if body.subscription_id is None:
        row = await tx.connection.fetchrow(STOP_CHANNEL, body.channel_id, UNSUBSCRIBED, tx.actor, tx.now)
        if row is not None:
            _told(tx, row)
    else:
        row = await tx.connection.fetchrow(
            STOP_SUBSCRIPTION, body.subscription_id, UNSUBSCRIBED, tx.actor, tx.now, body.channel_id
        )
        if row is not None:
            paused = SubscriptionChanged(**row, changes=changes_in(row))
            tx.emit(subscription_changed, paused, subject=str(body.subscription_id))
    return ChannelStopped(channel_id=body.channel_id, subscription_id=body.subscription_id)


async def list_channels(read: Read, wanted: ChannelFilter) -> Page[ChannelView]:
    """A page of the site's channels, newest first. Raises `Invalid`."""
    page = await _page(read, wanted, read.site, "")
    return page.model_copy(update={"items": [_for_reader(read, one) for one in page.items]})


async def list_own_channels(read: Read, wanted: ChannelFilter) -> Page[ChannelView]:
    """A page of the caller's own channels, newest first. Raises `Invalid`."""
    return await _page(read, wanted, EVERY_SITE, read.actor)


async def show_channel(read: Read, key: ChannelKey) -> ChannelView:
    """One channel of the site, also a removed one. Raises `NotFound`."""
    return _for_reader(read, await _find(read.pool, key.channel_id, read.site, ""))


def _for_reader(read: Read, channel: ChannelView) -> ChannelView:
    """Without whose mail it is, for who neither looks after channels nor may read what is personal."""
    if {"channel:write", PERMISSION} & read.permissions:
        return channel
    return channel.model_copy(update={"address_shown": masked_mail(channel.address_shown)})


async def _page(read: Read, wanted: ChannelFilter, site: str, person: str) -> Page[ChannelView]:
    given = {"site": site, "person": person, "status": wanted.status, "present": None if wanted.status else True}
    found = await LIST_CHANNELS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[ChannelView](items=[ChannelView(**row) for row in found.rows], next_cursor=found.next_cursor)


def _scope(tx: Tx, own: bool) -> tuple[str, str]:
    """Site and person of the channels that are meant."""
    return (EVERY_SITE, tx.actor) if own else (tx.site, "")


async def _find(source: Any, channel_id: int, site: str, person: str) -> ChannelView:
    row = await source.fetchrow(SELECT_CHANNEL, channel_id, site, person)
    if row is None:
        raise _unknown(channel_id, person)
    return ChannelView(**row)


async def _set_status(
    tx: Tx, own: bool, channel_id: int, status: str, reason: str, before: Sequence[str]
) -> ChannelView:
    site, person = _scope(tx, own)
    row = await tx.connection.fetchrow(
        SET_CHANNEL_STATUS, channel_id, site, person, tx.actor, tx.now, status, reason, list(before)
    )
    if row is None:
        known = await _find(tx.connection, channel_id, site, person)
        raise Conflict(f"The channel {known.name} is {known.status}, so it can't become {status}.")
    return _told(tx, row)


def _unknown(channel_id: int, person: str) -> NotFound:
    if person:
        return NotFound(f"You have no channel {channel_id} of your own; GET /api/me/channels lists them.")
    return NotFound(f"There is no channel {channel_id} in this site; GET /api/channels lists them.")


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a channel {name} already; choose another name, or change that one.")


def _told(tx: Tx, row: asyncpg.Record | None) -> ChannelView:
    if row is None:
        raise NotFound("There is no such channel, or it was removed.")
    view = ChannelView(**row)
    stated = {"address_shown": masked_mail(view.address_shown), "changes": changes_in(row, MASKED)}
    told = ChannelChanged(**view.model_dump() | stated)
    tx.emit(contract.channel_changed, told, subject=str(told.channel_id))
    return view


async def _check(ways: Ways, kind: str, secret: str, fingerprint: str) -> None:
    """Raise `Invalid` for an address that is not to be called, `Unavailable` if it can't be opened here."""
    if kind == "email" and ways.post is None:
        raise Invalid("kind: no mail goes out from here: an administrator sets HEADGATE_SMTP_HOST for the notifier.")
    try:
        address = ways.vault.open(secret, channel_place(fingerprint)).partition("\n")[0]
        if kind not in ("email", "pagerduty"):  # these lead to servers of the settings
            await ways.outbound.check(address)
    except VaultError as error:
        raise Unavailable(f"The address can't be opened here: {error}") from None
    except OutboundError as error:
        raise Invalid(f"address: {error.sentence}") from None


def table(ways: Ways) -> Table:
    """What this module answers; addresses are looked at as they would be called."""
    site, mine = False, True
    return Table(
        commands={
            contract.create_channel: partial(create_channel, ways, site),
            contract.change_channel: partial(change_channel, ways, site),
            contract.disable_channel: partial(disable_channel, site),
            contract.enable_channel: partial(enable_channel, site),
            contract.test_channel: partial(test_channel, site),
            contract.remove_channel: partial(remove_channel, site),
            contract.stop_channel: stop_channel,
            contract.create_own_channel: partial(create_channel, ways, mine),
            contract.change_own_channel: partial(change_channel, ways, mine),
            contract.disable_own_channel: partial(disable_channel, mine),
            contract.enable_own_channel: partial(enable_channel, mine),
            contract.test_own_channel: partial(test_channel, mine),
            contract.remove_own_channel: partial(remove_channel, mine),
        },
        queries={
            contract.list_channels: list_channels,
            contract.show_channel: show_channel,
            contract.list_own_channels: list_own_channels,
        },
    )
