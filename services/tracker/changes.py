"""The ledger: the one place through which every change of an item is stored, remembered and told.

Whoever changes items has locked their boards before it read them. So a change is written as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from libs.common.columns import copied, listed
from libs.common.contracts.base import Event
from libs.common.contracts.changes import stated
from libs.common.contracts.tracker.items import (
    Item,
    ItemChanged,
    item_assigned,
    item_opened,
    item_reopened,
    item_resolved,
    item_updated,
)
from libs.common.service import Closing, Tx
from services.tracker.domain import item as domain
from services.tracker.domain.changes import Change, ChangeKind
from services.tracker.domain.kpi import Delta, deltas

# The columns are the item's fields: its id is the table's to give.
_NEW = listed(name for name in domain.COLUMNS if name != "id")
INSERT_ITEMS = f"""
INSERT INTO item ({_NEW})
SELECT {_NEW} FROM jsonb_populate_recordset(NULL::item, $1) ORDER BY item_id
RETURNING rule_id, id
"""  # noqa: S608 - names of our own class
NOTED = "item, episode, revision, kind, at, actor, cause, run_id, changed, before, after"
_COUNTED = listed(Delta._fields)
_KEPT = tuple(name for name in domain.CHANGEABLE if name != "detail")
# What every change is written with: the items as they are now, the rows of the ledger, and what it adds to the KPIs.
# A detail may be large: it is sent, and written anew, only if it has changed.
WRITE = Closing(f"""
written AS (
    UPDATE item SET {copied(_KEPT)}, detail = coalesce(new.detail, item.detail)
    FROM jsonb_populate_recordset(NULL::item, $1) AS new WHERE item.id = new.id
), noted AS (
    INSERT INTO item_change ({NOTED}) SELECT {NOTED} FROM jsonb_populate_recordset(NULL::item_change, $2)
), counted AS (
    INSERT INTO kpi_delta ({_COUNTED}) SELECT {_COUNTED} FROM jsonb_populate_recordset(NULL::kpi_delta, $3)
)
""")  # noqa: S608
WRITE_EPISODES = f"""
WITH {WRITE.steps}, begun AS (
    INSERT INTO item_episode (item, episode, opened_at, due_at, opened_by_run)
    SELECT id, episode, opened_at, due_at, gate_run_id FROM jsonb_populate_recordset(NULL::item, $4)
)
UPDATE item_episode SET resolved_at = new.verified_at, resolved_by_run = new.gate_run_id, due_at = new.due_at
FROM jsonb_populate_recordset(NULL::item, $5) AS new
WHERE item_episode.item = new.id AND item_episode.episode = new.episode
"""  # noqa: S608

_EVENTS: dict[ChangeKind, Event] = {
    "opened": item_opened,
    "reopened": item_reopened,
    "refused": item_reopened,
    "resolved": item_resolved,
    "assigned": item_assigned,
    "taken": item_assigned,
    "handed_over": item_assigned,
}


async def write(tx: Tx, changes: Sequence[Change], *, run_id: int | None = None) -> list[Change]:
    """Store changes of items whose boards are locked, remember them in the ledger, and tell them.

    ``run_id`` is the run that made them. New items are of one board. Two statements at the most, however many items;
    none without a change. Returns the changes with the ids of new items.
    """
    if not changes:
        return []
    if new := [change.item for change in changes if change.before is None]:
        ids = {row["rule_id"]: row["id"] for row in await tx.connection.fetch(INSERT_ITEMS, new)}
        changes = [_numbered(change, ids) for change in changes]
    old = [_stored(change) for change in changes if change.before is not None]
    noted = [_row(tx, change, run_id) for change in changes if change.told]
    counted = [delta._asdict() for delta in deltas(changes)]
    begun = [_stored(change) for change in changes if change.kind in ("opened", "reopened")]
    ended = [_stored(change) for change in changes if change.kind == "resolved"]
    if begun or ended:
        await tx.connection.execute(WRITE_EPISODES, old, noted, counted, begun, ended)
    else:
        await tx.connection.execute(WRITE.alone, old, noted, counted)
    for change in changes:
        if change.told:
            _tell(tx, change)
    return list(changes)


def write_last(tx: Tx, change: Change) -> Item:
    """The same for the only change of a command, as its closing change; one that changes nothing is told all the same.

    Nothing in the transaction may read the item after it.
    """
    if change.told:
        counted = [delta._asdict() for delta in deltas([change])]
        tx.close_with(WRITE, [_stored(change)], [_row(tx, change, None)], counted)
    return _tell(tx, change)


def keep_last(tx: Tx, change: Change) -> None:
    """Store a change of which nobody is told as the closing change of its command; see `write_last`."""
    tx.close_with(WRITE, [_stored(change)], [], [delta._asdict() for delta in deltas([change])])


def entry(
    tx: Tx,
    item: domain.Item,
    kind: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A row of the ledger (its columns are `NOTED`) for what belongs to an item and is no field of it."""
    return {
        "item": item.id,
        "episode": item.episode,
        "revision": item.revision,
        "kind": kind,
        "at": tx.now,
        "actor": tx.actor,
        "cause": tx.message_id,
        "run_id": None,
        "changed": [],
        "before": _as_answered(before or {}),
        "after": _as_answered(after or {}),
    }


def _numbered(change: Change, ids: Mapping[str, int]) -> Change:
    return (
        change if change.before is not None else replace(change, item=replace(change.item, id=ids[change.item.rule_id]))
    )


def _stored(change: Change) -> dict[str, Any]:
    names = domain.CHANGEABLE if "detail" in change.changed else _KEPT
    return {"id": change.item.id} | {name: getattr(change.item, name) for name in names}


def _row(tx: Tx, change: Change, run_id: int | None) -> dict[str, Any]:
    row = entry(tx, change.item, change.kind, before=change.was(), after=change.now())
    return row | {
        "at": change.item.updated_at,
        "actor": change.item.updated_by,
        "run_id": run_id,
        "changed": change.changed,
    }


def _as_answered(values: Mapping[str, Any]) -> orjson.Fragment:
    """Times as in every answer: they go out again as they are stored."""
    return orjson.Fragment(orjson.dumps(values, option=orjson.OPT_UTC_Z))


def _tell(tx: Tx, change: Change) -> Item:
    item = Item.model_validate(change.item, from_attributes=True)
    changes = stated(change.was(), change.now()) if change.before is not None else []
    told = ItemChanged(item=item, changed=list(change.changed), changes=changes)
    tx.emit(_EVENTS.get(change.kind, item_updated), told, subject=str(item.id), site=item.site)
    return item
