"""Comments on items."""

from __future__ import annotations

from typing import Any

import orjson

from libs.common.contracts.changes import FieldChange, newly
from libs.common.contracts.tracker import comments as contract
from libs.common.contracts.tracker.comments import (
    MAX_COMMENTS,
    Comment,
    CommentAdd,
    CommentFilter,
    CommentTold,
    CommentWithdraw,
    CommentWithdrawn,
    comment_added,
    comment_withdrawn,
)
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Read, Table, Tx
from services.tracker.changes import NOTED, entry, keep_last
from services.tracker.domain import item as domain
from services.tracker.domain.changes import answered
from services.tracker.items import lock_alone, lock_item, must_exist

_COLUMNS = "id, item AS item_id, author, at, text, withdrawn_by, withdrawn_at"
LIST_COMMENTS = Listing(
    table="item_comment",
    columns=_COLUMNS,
    scope={"item": "bigint"},
    order=newest("id"),
)
# The item is locked, so nobody adds one meanwhile.
ADD_COMMENT = f"""
WITH added AS (
    INSERT INTO item_comment (item, author, at, text)
    SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM item_comment WHERE item = $1) < $5
    RETURNING *
), noted AS (
    INSERT INTO item_change ({NOTED}, comment_id)
    SELECT {NOTED}, number FROM jsonb_populate_recordset(NULL::item_change, $6), (SELECT id AS number FROM added) AS one
)
SELECT {_COLUMNS} FROM added
"""  # noqa: S608 - names of our own
FIND_COMMENT = f"SELECT {_COLUMNS} FROM item_comment WHERE id = $1 AND item = $2"  # noqa: S608
WITHDRAW_COMMENT = f"""
WITH noted AS (
    INSERT INTO item_change ({NOTED}, comment_id)
    SELECT {NOTED}, $1 FROM jsonb_populate_recordset(NULL::item_change, $4)
)
UPDATE item_comment SET text = NULL, withdrawn_by = $2, withdrawn_at = $3 WHERE id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608


async def add_comment(tx: Tx, body: CommentAdd) -> Comment:
    """Add a comment; raises `NotFound`, and `Conflict` if the item has `MAX_COMMENTS` of them.

    In an episode to which nobody has responded it is the response. So the board is locked, as for any other change.
    """
    _, item = await lock_item(tx, body.item_id, None)
    noted = [entry(tx, item, "commented")]
    row = await tx.connection.fetchrow(ADD_COMMENT, item.id, tx.actor, tx.now, body.text, MAX_COMMENTS, noted)
    if row is None:
        raise Conflict(f"Item {item.id} has {MAX_COMMENTS} comments, which is all that an item may have.")
    comment = Comment.model_validate(dict(row))
    if (response := answered(item, tx.actor, tx.now)) is not None:
        keep_last(tx, response)
    tx.emit(comment_added, _told(item, comment), subject=str(item.id))
    return comment


async def withdraw_comment(tx: Tx, body: CommentWithdraw) -> Comment:
    """Take a comment's text away and leave its place.

    Raises `NotFound`, `Forbidden` for what somebody else said (unless ``for_others``), and `Conflict` if it has been
    withdrawn before.
    """
    item = await lock_alone(tx, body.item_id)
    found = await tx.connection.fetchrow(FIND_COMMENT, body.comment_id, item.id)
    if found is None:
        raise NotFound(f"Item {item.id} has no comment {body.comment_id}. List its comments to see their numbers.")
    if found["author"] != tx.actor and not body.for_others:
        raise Forbidden(f"{found['author']} wrote this; ask them, or somebody who may complete boards.")
    if found["withdrawn_at"] is not None:
        raise Conflict(f"{found['withdrawn_by']} has withdrawn this comment already.")
    noted = [entry(tx, item, "withdrew")]
    row: Any = await tx.connection.fetchrow(WITHDRAW_COMMENT, body.comment_id, tx.actor, tx.now, noted)
    comment = Comment.model_validate(dict(row))
    told = _told(item, comment)
    changes = [FieldChange(field="text", masked=True), *newly(told, "withdrawn_by", "withdrawn_at")]
    tx.emit(comment_withdrawn, CommentWithdrawn(**told.model_dump(), changes=changes), subject=str(item.id))
    return comment


def _told(item: domain.Item, comment: Comment) -> CommentTold:
    kept = comment.model_dump(exclude={"id", "text"})
    return CommentTold(comment_id=comment.id, gate=item.gate, subject=item.subject, **kept)


async def list_comments(read: Read, params: CommentFilter) -> bytes:
    """The comments on an item, newest first; raises `NotFound`. As JSON of a page of `Comment`s."""
    await must_exist(read, params.item_id)
    page = await LIST_COMMENTS.page(read.pool, {"item": params.item_id}, limit=params.limit, cursor=params.cursor)
    answer = {"items": [dict(row) for row in page.rows], "next_cursor": page.next_cursor}
    return orjson.dumps(answer, option=orjson.OPT_UTC_Z)


TABLE = Table(
    commands={contract.add_comment: add_comment, contract.withdraw_comment: withdraw_comment},
    queries={contract.list_comments: list_comments},
)
