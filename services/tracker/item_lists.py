"""Lists of items: what to look for, in which order, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from libs.common.columns import listed, names_of
from libs.common.contracts.tracker import item_lists as contract
from libs.common.contracts.tracker.item_lists import ItemFilter, ItemPageFilter, Sort
from libs.common.contracts.tracker.items import Item
from libs.common.listing import Filter, Key, Listing
from libs.common.service import Read, Table

ME, NOBODY = "me", "none"
_ACTIVE_FIRST = Key("is_active", "boolean", descending=True)
_DUE = Key("due_order", "timestamptz")  # the due time; without one last
_SHOWN = names_of(Item)
_FILTERS: dict[str, str | Filter] = {
    "subject": "text",
    "line": "text",
    "assignee": "text",
    "status": "text",
    "include_inactive": Filter("boolean", "(is_active OR {})"),
    "unassigned": Filter("boolean", "(assignee IS NULL) = {}"),
    "owner_role": "text",
    "rule_id": "text",
    "overdue_at": Filter("timestamptz", "(is_active AND status <> 'done' AND paused_at IS NULL AND due_at < {})"),
    "due_before": Filter("timestamptz", "due_at < {}"),
    "label": Filter("text", "{} = ANY (labels)"),
    "text": Filter("text", "position(lower({}) IN lower(concat_ws(' ', rule_id, reason, action))) > 0"),
}


def _listing(order: tuple[Key, ...], *readings: tuple[str, ...]) -> Listing:
    return Listing(
        table="item",
        columns=f"{listed(_SHOWN)}, due_order",
        scope={"site": "text", "gate": "text"},
        filters=_FILTERS,
        readings=readings,
        order=order,
    )


LIST_ITEMS = _listing((_ACTIVE_FIRST, Key("priority"), _DUE, Key("id")), ("assignee",), ("subject",))
LIST_ITEMS_BY_DUE = _listing((_ACTIVE_FIRST, _DUE, Key("id")), ("assignee",))
LIST_ITEMS_BY_UPDATE = _listing((Key("updated_at", "timestamptz", descending=True), Key("id", descending=True)))
_LISTS: dict[Sort, Listing] = {
    "priority": LIST_ITEMS,
    "due": LIST_ITEMS_BY_DUE,
    "updated": LIST_ITEMS_BY_UPDATE,
}


async def list_items(read: Read, params: ItemFilter) -> bytes:
    """The first ``limit`` items that fit, in the order of ``sort``.

    As JSON of `Item`s, straight from the rows: they were validated when they were written.
    """
    sql, values = _LISTS[params.sort].query(_given(read, params), limit=params.limit)
    return orjson.dumps(_shown(await read.pool.fetch(sql, *values)), option=orjson.OPT_UTC_Z)


async def page_items(read: Read, params: ItemPageFilter) -> bytes:
    """The same as a page with a cursor; raises `Invalid` for a cursor that no page in this order gave."""
    page = await _LISTS[params.sort].page(read.pool, _given(read, params), limit=params.limit, cursor=params.cursor)
    answer = {"items": _shown(page.rows), "next_cursor": page.next_cursor}
    return orjson.dumps(answer, option=orjson.OPT_UTC_Z)


def _shown(rows: Sequence[asyncpg.Record]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in _SHOWN} for row in rows]


def _given(read: Read, params: ItemFilter) -> dict[str, Any]:
    same = (
        "gate",
        "subject",
        "line",
        "status",
        "include_inactive",
        "owner_role",
        "rule_id",
        "due_before",
        "label",
        "text",
    )
    given: dict[str, Any] = {"site": read.site, **{name: getattr(params, name) for name in same}}
    if params.overdue:
        given["overdue_at"] = read.now
    if params.assignee == NOBODY:
        given["unassigned"] = True
    elif params.assignee is not None:
        given["assignee"] = read.actor if params.assignee == ME else params.assignee
    return given


TABLE = Table(queries={contract.list_items: list_items, contract.page_items: page_items})
