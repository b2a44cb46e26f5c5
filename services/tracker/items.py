"""Items: show and patch."""

from __future__ import annotations

from libs.common.contracts.tracker import items as contract
from libs.common.contracts.tracker.items import MAX_LABELS, Item, ItemKey, ItemPatch
from libs.common.problems import Conflict, Invalid, NotFound, PreconditionFailed
from libs.common.service import Read, Table, Tx
from services.tracker.board import Head, reopen_board, to_head
from services.tracker.changes import write_last
from services.tracker.domain import item as domain
from services.tracker.domain.changes import Change
from services.tracker.domain.claims import EpisodeEnded, Patch, TooManyLabels, apply_patch

_NO_WORK = {"labels"}  # a change of these alone says nothing about a board that is completed
GET_ITEM = "SELECT * FROM item WHERE id = $1 AND site = $2"
# The board first, as everywhere. The item is locked with it, so that after a wait both are as they are then, and not as
# they were when the statement began.
LOCK_ITEM = """
SELECT item.*, board AS head FROM board JOIN item USING (site, gate, subject, line)
WHERE item.id = $1 AND item.site = $2
FOR UPDATE OF board, item
"""
LOCK_ALONE = "SELECT * FROM item WHERE id = $1 AND site = $2 FOR UPDATE"
FIND_ITEM = "SELECT 1 FROM item WHERE id = $1 AND site = $2"


async def get_item(read: Read, params: ItemKey) -> Item:
    """One item; raises `NotFound`, also for an item of another site."""
    row = await read.pool.fetchrow(GET_ITEM, params.item_id, read.site)
    if row is None:
        raise unknown(params.item_id)
    return Item.model_validate(dict(row))


async def lock_item(tx: Tx, item_id: int, if_revision: int | None) -> tuple[Head, domain.Item]:
    """An item with the head of its board, both locked until the transaction ends.

    Raises `NotFound`, and what `check_revision` raises.
    """
    row = await tx.connection.fetchrow(LOCK_ITEM, item_id, tx.site)
    if row is None:
        raise unknown(item_id)
    item = domain.to_item(dict(row))
    check_revision(item, if_revision)
    return to_head(row["head"]), item


def check_revision(item: domain.Item, if_revision: int | None) -> None:
    """Raise `PreconditionFailed` if a locked item has changed since the caller read it."""
    if if_revision is not None and if_revision != item.revision:
        raise PreconditionFailed(
            f"Item {item.id} has revision {item.revision} by now: {item.updated_by} changed it at "
            f"{item.updated_at:%Y-%m-%d %H:%M:%S} UTC. Read it again and send your change with the new ETag.",
            revision=item.revision,
        )


async def patch_item(tx: Tx, body: ItemPatch) -> Item:
    """Change what a person may change; raises what `lock_item` and `patched` raise."""
    head, before = await lock_item(tx, body.item_id, body.if_revision)
    return await work_on(tx, head, patched(tx, before, body))


async def work_on(tx: Tx, head: Head, change: Change) -> Item:
    """Store what a person did to an item, the command's only change; a completed board opens again for it."""
    item = write_last(tx, change)
    if is_work(change):
        await reopen_board(tx, head, f"Item {item.id} was changed by {tx.actor}.")
    return item


def patched(tx: Tx, before: domain.Item, body: ItemPatch) -> Change:
    """What a patch does to a locked item; see `apply_patch`.

    Raises `Invalid`, and `Conflict` for an ended episode or too many labels.
    """
    patch = to_patch(body)
    try:
        return apply_patch(before, patch, tx.actor, tx.now)
    except EpisodeEnded:
        if before.retired_at is not None:
            raise Conflict(
                f"Item {body.item_id} is no work any longer: its subject was retired. It opens again when somebody has "
                "the gate judge the subject and its rule fails. Note, assignee and labels may be edited."
            ) from None
        raise Conflict(
            f"Item {before.id} is resolved: run {before.gate_run_id} passed {before.rule_id}. If you doubt it, run "
            "the gate: the item opens again when its rule fails. Note and assignee may be edited."
        ) from None
    except TooManyLabels:
        raise Conflict(f"An item may have {MAX_LABELS} labels; remove some of those of item {before.id}.") from None


def is_work(change: Change) -> bool:
    """Whether a completed board opens again for this change."""
    return bool(set(change.changed) - _NO_WORK)


async def lock_alone(tx: Tx, item_id: int) -> domain.Item:
    """An item, locked without its board: for what belongs to it and changes none of its fields. Raises `NotFound`."""
    row = await tx.connection.fetchrow(LOCK_ALONE, item_id, tx.site)
    if row is None:
        raise unknown(item_id)
    return domain.to_item(dict(row))


async def must_exist(read: Read, item_id: int) -> None:
    """Raise `NotFound` unless the site has this item."""
    if await read.pool.fetchval(FIND_ITEM, item_id, read.site) is None:
        raise unknown(item_id)


def to_patch(body: ItemPatch) -> Patch:
    """What was sent, where an assignee of null is nobody. Raises `Invalid` for another field sent as null."""
    for name in ("status", "completion_checked", "completion_note", "add_labels", "remove_labels"):
        if name in body.model_fields_set and getattr(body, name) is None:
            raise Invalid(f"{name} can't be null; leave the field out to keep its value.")
    nobody = "assignee" in body.model_fields_set and body.assignee is None
    assignee = "" if nobody else body.assignee
    return Patch(
        assignee,
        body.status,
        body.completion_checked,
        body.completion_note,
        body.add_labels or (),
        body.remove_labels or (),
    )


def unknown(item_id: int) -> NotFound:
    """The refusal that says so."""
    return NotFound(f"There is no item {item_id} at this site. List the items to see the ids.")


TABLE = Table(
    commands={contract.patch_item: patch_item},
    queries={contract.get_item: get_item},
)
