"""Items go from hand to hand: taken by who wants them, handed over, let go."""

from __future__ import annotations

from collections.abc import Callable

from libs.common.contracts.tracker import hands as contract
from libs.common.contracts.tracker.hands import HandOver, Release, Take
from libs.common.contracts.tracker.items import Item
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Table, Tx
from services.tracker.board import reopen_board
from services.tracker.changes import write_last
from services.tracker.domain import hands
from services.tracker.domain import item as domain
from services.tracker.domain.changes import Change
from services.tracker.items import lock_item
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
    item = write_last(tx, change)
    if change.changed:
        await reopen_board(tx, head, f"Item {item.id} was changed by {tx.actor}.")
    return item


TABLE = Table(
    commands={
        contract.take_item: take_item,
        contract.hand_over_item: hand_over_item,
        contract.release_item: release_item,
    }
)
