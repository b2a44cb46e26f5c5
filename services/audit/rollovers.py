"""Accepting that a database was set back: the log goes on under another name, and says so for good."""

from __future__ import annotations

from functools import partial
from typing import Any

from libs.common.bus import NATS_ERRORS
from libs.common.contracts.audit import rollovers as contract
from libs.common.contracts.audit.rollovers import Rollover, RolloverCreate, log_rolled_over, name_after
from libs.common.contracts.base import Nothing
from libs.common.problems import Conflict, Unavailable
from libs.common.service import Read, Table, Tx
from libs.tlog.notes import Checkpoint, NoteProblem, Signer, read_note
from services.audit import tree
from services.audit.guard import StillFilling, look
from services.audit.outside import Outside

SELECT_ALL = """
SELECT number, lost_note AS lost_checkpoint, lost_size, kept_size, accepted_by, reason, accepted_at
FROM rollover ORDER BY number
"""
SELECT_NEWEST_NOTE = "SELECT note FROM checkpoint ORDER BY rollover DESC, size DESC LIMIT 1"
INSERT_ROLLOVER = """
INSERT INTO rollover (number, lost_note, lost_size, lost_root, kept_size, accepted_by, reason, accepted_at)
SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM rollover RETURNING number
"""


async def create_rollover(signer: Signer | None, outside: Outside, tx: Tx, body: RolloverCreate) -> Rollover:
    """Accept the loss. Raises `Conflict` if nothing is lost, or something else than was named; `Unavailable`."""
    try:
        head = await tree.lock_head(tx.connection)
        kept, problem = await look(tx.connection, head, outside)
        if problem is None:
            raise Conflict("The database holds everything that was signed; there is nothing to accept.")
    except StillFilling:
        raise Conflict("Entries are still being taken into the tree; ask again in a minute.") from None
    except NATS_ERRORS as error:
        raise Unavailable("NATS, which keeps the last checkpoint, can't be reached; try again.") from error
    # Where nothing is kept outside any more, the newest that is known here is what nobody vouches for.
    note = kept.note or await tx.connection.fetchval(SELECT_NEWEST_NOTE)
    try:
        lost = Checkpoint.read(read_note(note).text)
    except NoteProblem:
        raise Conflict(problem) from None
    if lost.size != body.lost_size:
        raise Conflict(f"What is lost was signed at size {lost.size}, not {body.lost_size}; look at it once more.")
    number = await tx.connection.fetchval(
        INSERT_ROLLOVER, note, lost.size, lost.root, head.seq, tx.actor, body.reason, tx.now
    )
    made = Rollover(
        number=number,
        origin=_origin(signer, number),
        lost_checkpoint=note,
        lost_size=lost.size,
        kept_size=head.seq,
        accepted_by=tx.actor,
        reason=body.reason,
        accepted_at=tx.now,
    )
    tx.emit(log_rolled_over, made, subject=str(number))
    return made


def _origin(signer: Signer | None, number: int) -> str:
    return name_after(signer.verifier.name, number) if signer else ""


async def list_rollovers(signer: Signer | None, read: Read, _params: Nothing) -> list[Rollover]:
    """All of them, the first one first."""
    rows: list[Any] = await read.pool.fetch(SELECT_ALL)
    return [Rollover(**row, origin=_origin(signer, row["number"])) for row in rows]


def table(signer: Signer | None, outside: Outside) -> Table:
    """What this module answers."""
    return Table(
        commands={contract.create_rollover: partial(create_rollover, signer, outside)},
        queries={contract.list_rollovers: partial(list_rollovers, signer)},
        buckets=(outside,),
    )
