"""Acknowledge links: what one is about, and using it. The gateway has opened it and says in whose name it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.common.contracts.tracker import acknowledge_links as contract
from libs.common.contracts.tracker.acknowledge_links import LinkKey, LinkState
from libs.common.contracts.tracker.escalation import Escalation
from libs.common.problems import Conflict, NotFound
from libs.common.service import Read, Table, Tx
from services.tracker.acknowledgement import locked, stop

REASON = "By the link in the message."

# The step is looked up by its key and must be of that item and episode: a link says nothing that is not checked.
SELECT_LINK = """
SELECT item.id AS item_id, item.site, gate, subject, line, version, rule_id, item.reason, item.due_at, assignee,
    escalation_step.level, acknowledged_by, used_at,
    item.episode = escalation_step.episode AND item.is_active AND item.status <> 'done' AS present
FROM escalation_step JOIN item ON item.id = escalation_step.item
    JOIN escalation ON escalation.item = item.id AND escalation.episode = escalation_step.episode
    LEFT JOIN used_link ON used_link.key = escalation_step.key AND actor = $5
WHERE escalation_step.key = $1 AND item.id = $2 AND escalation_step.episode = $3 AND item.site = $4
"""
USE_LINK = """
INSERT INTO used_link (key, actor, used_at)
SELECT key, $4, $5 FROM escalation_step WHERE key = $1 AND item = $2 AND episode = $3
ON CONFLICT DO NOTHING RETURNING key
"""


async def show_link(read: Read, link: LinkKey) -> LinkState:
    """What a link is about. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_LINK, link.key, link.item_id, link.episode, read.site, read.actor)
    if row is None:
        raise NotFound("There is no such escalation.")
    return LinkState(**row, state=_state(row))  # type: ignore[arg-type]


def _state(row: Mapping[str, Any]) -> str:
    if row["used_at"] is not None:
        return "used"
    if not row["present"]:
        return "over"
    return "open" if row["acknowledged_by"] is None else "acknowledged"


async def use_link(tx: Tx, link: LinkKey) -> Escalation:
    """Acknowledge in the name of ``tx.actor``, once.

    Raises `NotFound`, and `Conflict` for a link that was used, one of an episode that is over, and an item that is
    done or acknowledged already.
    """
    row = await locked(tx, link.item_id)
    if row["episode"] != link.episode:
        raise Conflict(f"What this link told of is over; item {link.item_id} has opened again since.")
    if await tx.connection.fetchval(USE_LINK, link.key, link.item_id, link.episode, tx.actor, tx.now) is None:
        raise Conflict("This link was used before, and is good for once; acknowledge the item in Headgate.")
    return await stop(tx, row, REASON, by_link=True)


TABLE = Table(commands={contract.use_link: use_link}, queries={contract.show_link: show_link})
