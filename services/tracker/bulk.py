"""Many items patched by one command: one transaction, a result for each item."""

from __future__ import annotations

from collections import Counter

import orjson

from libs.common.contracts.tracker import bulk as contract
from libs.common.contracts.tracker.bulk import BulkOutcome, BulkPatch, BulkPatched, BulkResult, bulk_patched
from libs.common.contracts.tracker.items import ItemPatch
from libs.common.problems import Invalid, Refusal
from libs.common.service import Table, Tx
from services.tracker.board import Head, reopen_board, to_head
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.changes import Change
from services.tracker.items import check_revision, is_work, patched, unknown

# Everybody who locks several boards does so in this order, and then their items by number: nobody waits in a circle.
LOCK_BOARDS = """
SELECT * FROM board WHERE site = $1 AND (gate, subject, line) IN (
    SELECT gate, subject, line FROM item WHERE id = ANY ($2::bigint[]) AND site = $1
)
ORDER BY site, gate, subject, line FOR UPDATE
"""
LOCK_ITEMS = "SELECT * FROM item WHERE id = ANY ($2::bigint[]) AND site = $1 ORDER BY id FOR UPDATE"


async def patch_bulk(tx: Tx, body: BulkPatch) -> BulkResult:
    """Patch each item as `patch_item` does; one that is refused changes nothing and holds up no other.

    Raises `Invalid` for a body of no form or of two, and for an item that is named twice.

    Three statements, however many items, and one more for each completed board that opens again.
    """
    _check(body)
    heads = [to_head(row) for row in await tx.connection.fetch(LOCK_BOARDS, tx.site, body.ids)]
    rows = await tx.connection.fetch(LOCK_ITEMS, tx.site, body.ids)
    items = {row["id"]: domain.to_item(dict(row)) for row in rows}
    outcomes: list[BulkOutcome] = []
    changes: list[Change] = []
    for patch in body.each():
        try:
            change = _judged(tx, items, patch)
        except Refusal as refusal:
            outcomes.append(_refused(patch.item_id, items, refusal))
            continue
        if change.told:
            changes.append(change)
        outcomes.append(
            BulkOutcome(
                item_id=change.item.id, outcome="applied", revision=change.item.revision, changed=list(change.changed)
            )
        )
    await write(tx, changes)
    await _reopen(tx, heads, changes)
    refused = sum(outcome.outcome == "refused" for outcome in outcomes)
    applied = len(outcomes) - refused
    told = BulkPatched(applied_count=applied, changed_count=len(changes), refused_count=refused)
    tx.emit(bulk_patched, told, subject="items")
    return BulkResult(applied_count=applied, refused_count=refused, items=outcomes)


def _check(body: BulkPatch) -> None:
    if bool(body.patches) == bool(body.item_ids) or bool(body.item_ids) != (body.patch is not None):
        raise Invalid("Send either item_ids and patch, or patches, and at least one item.")
    twice = sorted(number for number, count in Counter(body.ids).items() if count > 1)
    if twice:
        raise Invalid(f"Each item may be named once; twice named: {', '.join(map(str, twice[:10]))}.")


def _judged(tx: Tx, items: dict[int, domain.Item], patch: ItemPatch) -> Change:
    before = items.get(patch.item_id)
    if before is None:
        raise unknown(patch.item_id)
    check_revision(before, patch.if_revision)
    return patched(tx, before, patch)


def _refused(item_id: int, items: dict[int, domain.Item], refusal: Refusal) -> BulkOutcome:
    revision = items[item_id].revision if item_id in items else None
    return BulkOutcome(item_id=item_id, outcome="refused", revision=revision, problem=orjson.loads(refusal.body()))


async def _reopen(tx: Tx, heads: list[Head], changes: list[Change]) -> None:
    """Open completed boards again whose items were worked on."""
    worked = {(change.item.gate, change.item.subject, change.item.line) for change in changes if is_work(change)}
    for head in heads:
        if (head.gate, head.subject, head.line) in worked:
            await reopen_board(tx, head, f"{tx.actor} changed items of it.")


TABLE = Table(commands={contract.patch_bulk: patch_bulk})
