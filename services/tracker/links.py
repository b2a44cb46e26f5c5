"""Links of items."""

from __future__ import annotations

from libs.common.contracts.tracker import links as contract
from libs.common.contracts.tracker.items import ItemKey
from libs.common.contracts.tracker.links import MAX_LINKS, Link, LinkAdd, LinkKey, LinkTold, link_added, link_removed
from libs.common.problems import Conflict, NotFound
from libs.common.service import Read, Table, Tx
from services.tracker.changes import NOTED, entry
from services.tracker.items import lock_alone, must_exist

_COLUMNS = "id, item AS item_id, title, url, added_by, added_at"
LIST_LINKS = f"SELECT {_COLUMNS} FROM item_link WHERE item = $1 ORDER BY id LIMIT $2"  # noqa: S608 - names of our own
FIND_LINK = f"SELECT {_COLUMNS} FROM item_link WHERE id = $1 AND item = $2"  # noqa: S608
# The item is locked, so nobody adds one meanwhile.
ADD_LINK = f"""
WITH added AS (
    INSERT INTO item_link (item, title, url, added_by, added_at)
    SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM item_link WHERE item = $1) < $6
    RETURNING *
), noted AS (
    INSERT INTO item_change ({NOTED})
    SELECT {NOTED} FROM jsonb_populate_recordset(NULL::item_change, $7) WHERE EXISTS (SELECT FROM added)
)
SELECT {_COLUMNS} FROM added
"""  # noqa: S608
REMOVE_LINK = f"""
WITH noted AS (
    INSERT INTO item_change ({NOTED}) SELECT {NOTED} FROM jsonb_populate_recordset(NULL::item_change, $2)
)
DELETE FROM item_link WHERE id = $1
"""  # noqa: S608


async def add_link(tx: Tx, body: LinkAdd) -> Link:
    """Add a link; raises `NotFound`, and `Conflict` if the item has `MAX_LINKS` of them."""
    item = await lock_alone(tx, body.item_id)
    noted = [entry(tx, item, "linked", after={"title": body.title, "url": body.url})]
    row = await tx.connection.fetchrow(ADD_LINK, item.id, body.title, body.url, tx.actor, tx.now, MAX_LINKS, noted)
    if row is None:
        raise Conflict(f"Item {item.id} has {MAX_LINKS} links, which is all that an item may have; remove one.")
    link = Link.model_validate(dict(row))
    tx.emit(link_added, LinkTold(gate=item.gate, subject=item.subject, link=link), subject=str(item.id))
    return link


async def remove_link(tx: Tx, body: LinkKey) -> Link:
    """Remove a link and answer with what it was; raises `NotFound`."""
    item = await lock_alone(tx, body.item_id)
    row = await tx.connection.fetchrow(FIND_LINK, body.link_id, item.id)
    if row is None:
        raise NotFound(f"Item {item.id} has no link {body.link_id}. List its links to see their numbers.")
    link = Link.model_validate(dict(row))
    noted = [entry(tx, item, "unlinked", before={"title": link.title, "url": link.url})]
    await tx.connection.execute(REMOVE_LINK, link.id, noted)
    tx.emit(link_removed, LinkTold(gate=item.gate, subject=item.subject, link=link), subject=str(item.id))
    return link


async def list_links(read: Read, params: ItemKey) -> list[Link]:
    """The links of an item, oldest first; raises `NotFound`."""
    await must_exist(read, params.item_id)
    return [Link.model_validate(dict(row)) for row in await read.pool.fetch(LIST_LINKS, params.item_id, MAX_LINKS)]


TABLE = Table(
    commands={contract.add_link: add_link, contract.remove_link: remove_link},
    queries={contract.list_links: list_links},
)
