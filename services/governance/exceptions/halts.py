"""Stop the line: a halt forbids every GO of a site, of a pattern of subjects, or of the whole installation."""

from __future__ import annotations

from libs.common.columns import listed, names_of
from libs.common.contracts.changes import newly
from libs.common.contracts.governance import halts as contract
from libs.common.contracts.governance.halts import (
    MAX_HALTS,
    Halt,
    HaltFilter,
    HaltLift,
    HaltLifted,
    HaltRequest,
    Halts,
    HaltTold,
)
from libs.common.listing import Filter, Listing, newest
from libs.common.problems import Conflict, NotFound
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE
from services.governance.recheck import recheck

_COLUMNS = listed(names_of(Halt))
COUNT_HALTS = "SELECT count(*) FROM halts WHERE site = $1 AND lifted_at IS NULL"
INSERT_HALT = f"""
INSERT INTO halts (site, subjects, reason, halted_by, halted_at, exempt_labels)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
LIFT_HALT = f"""
UPDATE halts SET lifted_by = $3, lifted_at = $4, lift_reason = $5
WHERE halt_id = $1 AND site = $2 AND lifted_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608
SELECT_HALT = f"SELECT {_COLUMNS} FROM halts WHERE halt_id = $1 AND site = $2"  # noqa: S608
SELECT_EVERYWHERE = f"""
SELECT {_COLUMNS} FROM halts WHERE site = 'global' AND lifted_at IS NULL ORDER BY halt_id DESC
"""  # noqa: S608
LIST_HALTS = Listing(
    table="halts",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"in_force": Filter("boolean", "(lifted_at IS NULL) = {}")},
    order=newest("halt_id"),
)


async def stop_line(tx: Tx, body: HaltRequest) -> HaltTold:
    """Stop the line at ``tx.site``, `global` for everywhere. Raises `Conflict` if too many halts are in force."""
    rechecked = await recheck(tx, site=tx.site, subjects=body.subjects)
    if await tx.connection.fetchval(COUNT_HALTS, tx.site) >= MAX_HALTS:
        raise Conflict(f"This site has {MAX_HALTS} halts in force; lift some, or halt a wider pattern.")
    said = (body.subjects, body.reason, tx.actor, tx.now, body.exempt_labels)
    row = await tx.connection.fetchrow(INSERT_HALT, tx.site, *said)
    halt = HaltTold(**row, rechecked_count=rechecked)  # type: ignore[arg-type]
    tx.emit(contract.line_halted, halt, subject=str(halt.halt_id))
    return halt


async def lift_halt(tx: Tx, body: HaltLift) -> Halt:
    """Let the line run again; nothing becomes GO before a gate is run. Raises `NotFound`, `Conflict`."""
    row = await tx.connection.fetchrow(LIFT_HALT, body.halt_id, tx.site, tx.actor, tx.now, body.reason)
    if row is None:
        known = await tx.connection.fetchrow(SELECT_HALT, body.halt_id, tx.site)
        if known is None:
            raise NotFound(f"There is no halt {body.halt_id} in this site; one of everywhere is of the site global.")
        raise Conflict(f"{known['lifted_by']} lifted this halt at {known['lifted_at'].isoformat()}.")
    halt = Halt(**row)
    told = HaltLifted(**row, changes=newly(halt, "lifted_by", "lifted_at", "lift_reason"))
    tx.emit(contract.line_lifted, told, subject=str(halt.halt_id))
    return halt


async def list_halts(read: Read, wanted: HaltFilter) -> Halts:
    """A page of the site's own halts, newest first; beside the first those that hold everywhere. Raises `Invalid`."""
    given = {"site": read.site, "in_force": wanted.in_force}
    found = await LIST_HALTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    beside = read.site != EVERYWHERE and wanted.cursor is None and wanted.in_force is not False
    rows = await read.pool.fetch(SELECT_EVERYWHERE) if beside else []
    return Halts(
        items=[Halt(**row) for row in found.rows],
        next_cursor=found.next_cursor,
        everywhere=[Halt(**row) for row in rows],
    )


TABLE = Table(
    commands={contract.stop_line: stop_line, contract.lift_halt: lift_halt},
    queries={contract.list_halts: list_halts},
)
