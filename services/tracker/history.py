"""The history of an item, read off the ledger."""

from __future__ import annotations

import orjson

from libs.common.columns import listed, names_of
from libs.common.contracts.tracker import history as contract
from libs.common.contracts.tracker.history import HistoryEntry, HistoryFilter
from libs.common.listing import Listing, newest
from libs.common.service import Read, Table
from services.tracker.items import must_exist

_COMMENT = "(SELECT text FROM item_comment WHERE item_comment.id = comment_id)"
LIST_CHANGES = Listing(
    table="item_change",
    columns=f"{listed(names_of(HistoryEntry, without=('comment',)))}, {_COMMENT} AS comment",
    scope={"item": "bigint"},
    order=newest("id"),
)


async def item_history(read: Read, params: HistoryFilter) -> bytes:
    """The changes of an item, newest first; raises `NotFound`, also for an item of another site.

    As JSON of a page of `HistoryEntry`s. What happened before the ledger was there is not in it.
    """
    await must_exist(read, params.item_id)
    page = await LIST_CHANGES.page(read.pool, {"item": params.item_id}, limit=params.limit, cursor=params.cursor)
    answer = {"items": [dict(row) for row in page.rows], "next_cursor": page.next_cursor}
    return orjson.dumps(answer, option=orjson.OPT_UTC_Z, default=str)


TABLE = Table(queries={contract.item_history: item_history})
