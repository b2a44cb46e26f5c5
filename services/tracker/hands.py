"""Items go from hand to hand: taken by who wants them, handed over, let go."""

from __future__ import annotations

from collections.abc import Callable

from libs.common.contracts.tracker import hands as contract
from libs.common.contracts.tracker.hands import HandOver, Release, Take
from libs.common.contracts.tracker.items import Item
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Table, Tx
from services.tracker.domain import hands
from services.tracker.domain import item as domain
from services.tracker.domain.changes import Change
from services.tracker.items import lock_item, work_on
from services.tracker.people import require_person


async def take_item(tx: Tx, body: Take) -> Item:
    """The caller takes an item that nobody has. Raises `NotFound`, `PreconditionFailed`, `Conflict`."""
    return await _change(tx, body, lambda item: hands.take(item, tx.actor, tx.now))


async def hand_over_item(tx: Tx, body: HandOver) -> Item:
    """Give an item to another person of the site. Raises as `take_item`, and `Invalid` for who is unknown."""
    try:
        await require_person(tx, body.to)
    except NotFound as error:
        raise Invalid(error.detail) from error
    return await _change(tx, body, lambda item: hands.hand_over(item, body.to, body.reason, tx.actor, tx.now))


async def release_item(tx: Tx, body: Release) -> Item:
    """Let an item go, so that it waits for somebody again. Raises `NotFound`, `PreconditionFailed`, `Conflict`."""
    return await _change(tx, body, lambda item: hands.release(item, body.reason, tx.actor, tx.now))


async def _change(tx: Tx, key: Take, made: Callable[[domain.Item], Change]) -> Item:
    head, before = await lock_item(tx, key.item_id, key.if_revision)
    try:
        change = made(before)
    except hands.NotPossible as error:
        raise Conflict(str(error)) from error
    return await work_on(tx, head, change)


TABLE = Table(
    commands={
        contract.take_item: take_item,
        contract.hand_over_item: hand_over_item,
        contract.release_item: release_item,
    }
)
