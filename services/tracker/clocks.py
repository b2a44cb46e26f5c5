"""The clock of an item: paused and resumed, and its deadline moved by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from libs.common.contracts.tracker import clocks as contract
from libs.common.contracts.tracker.clocks import ClockBody, DueBody, PauseBody, ResumeBody
from libs.common.contracts.tracker.items import Item
from libs.common.problems import Conflict
from libs.common.service import Table, Tx
from services.tracker.changes import write_last
from services.tracker.domain import deadlines
from services.tracker.domain import item as domain
from services.tracker.domain.changes import Change
from services.tracker.items import lock_item
from services.tracker.terms import calendar_of

Turn = Callable[[domain.Item], Awaitable[Change]]


async def pause_item(tx: Tx, body: PauseBody) -> Item:
    """Stop an item's clock. Raises `NotFound`, `PreconditionFailed`, and `Conflict` if it is resolved or paused."""

    async def turn(before: domain.Item) -> Change:
        return deadlines.pause(before, body.reason, tx.actor, tx.now)

    return await _turned(tx, body, turn)


async def resume_item(tx: Tx, body: ResumeBody) -> Item:
    """Let an item's clock run again. Raises `NotFound`, `PreconditionFailed`, and `Conflict` if it is running."""

    async def turn(before: domain.Item) -> Change:
        return deadlines.resume(before, await calendar_of(tx.connection, tx.site), tx.actor, tx.now)

    return await _turned(tx, body, turn)


async def move_due(tx: Tx, body: DueBody) -> Item:
    """Move an item's deadline by hand, or count it again. Raises `NotFound`, `PreconditionFailed`, and `Conflict`."""

    async def turn(before: domain.Item) -> Change:
        calendar = await calendar_of(tx.connection, tx.site)
        return deadlines.move(before, body.due_at, body.reason, calendar, tx.actor, tx.now)

    return await _turned(tx, body, turn)


async def _turned(tx: Tx, body: ClockBody, turn: Turn) -> Item:
    _, before = await lock_item(tx, body.item_id, body.if_revision)
    try:
        change = await turn(before)
    except deadlines.ClockRefused as refused:
        raise Conflict(f"Item {body.item_id}: {refused}") from None
    return write_last(tx, change)


TABLE = Table(
    commands={
        contract.pause_item: pause_item,
        contract.resume_item: resume_item,
        contract.move_due: move_due,
    }
)
