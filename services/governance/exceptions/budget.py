"""The exceptions budget: whatever people except is written down once, for good, and counted by site and quarter."""

from __future__ import annotations

from functools import partial

from libs.common.columns import listed, names_of
from libs.common.contracts.governance import budget as contract
from libs.common.contracts.governance.budget import Budget, BudgetOf, GateBudget, Spend, SpendKind
from libs.common.contracts.tracker.completion import BoardCompleted, board_completed
from libs.common.listing import Source
from libs.common.problems import Invalid
from libs.common.service import Read, Table, Tx
from libs.judge.budget import bounds_of, quarter_of
from services.governance.catalog import Catalog
from services.governance.exceptions.voters import Thing, lock
from services.governance.recheck import recheck

MAX_NEWEST = 100
_COLUMNS = listed(names_of(Spend))
INSERT_SPEND = f"""
INSERT INTO exception_spends (site, kind, ref, gate, subject, what, spent_by, spent_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
COUNT_SPENDS = """
SELECT kind, count(*) AS count FROM exception_spends WHERE site = $1 AND spent_at >= $2 AND spent_at < $3
GROUP BY kind ORDER BY kind
"""
SELECT_NEWEST = f"""
SELECT {_COLUMNS} FROM exception_spends WHERE site = $1 AND spent_at >= $2 AND spent_at < $3
ORDER BY spent_at DESC, spend_id DESC LIMIT {MAX_NEWEST}
"""  # noqa: S608


async def lock_budget(tx: Tx) -> None:
    """Whoever spends takes this lock before it has GOs judged again, so that nobody waits for another in a circle."""
    await lock(tx, Thing(tx.site, "", "", "", "budget"))


async def spend(catalog: Catalog, tx: Tx, kind: SpendKind, ref: str, gate: str, subject: str, what: str) -> None:
    """Write down an exception of ``tx.site``; GOs of gates whose budget is exhausted by it are judged again.

    Nothing is ever given back: what was withdrawn had been in force.
    """
    await lock_budget(tx)
    bounds = bounds_of(quarter_of(tx.now))
    total = 1 + sum(row["count"] for row in await tx.connection.fetch(COUNT_SPENDS, tx.site, *bounds))
    for limited in await _limits(catalog, tx.connection, tx.site, total):
        if limited.left < 0:
            await recheck(tx, site=tx.site, gate=limited.gate)
    row = await tx.connection.fetchrow(INSERT_SPEND, tx.site, kind, ref, gate, subject, what, tx.actor, tx.now)
    if row is not None:
        told = Spend(**row)
        tx.emit(contract.exception_spent, told, subject=str(told.spend_id))


async def _limits(catalog: Catalog, source: Source, site: str, total: int) -> list[GateBudget]:
    found = []
    for gate in await catalog.gates(source, site):
        limit = (await catalog.in_force(source, gate, site)).both.exceptions_per_quarter
        if limit is not None:
            found.append(GateBudget(gate=gate, limit=limit, left=limit - total))
    return found


async def on_completed(catalog: Catalog, tx: Tx, data: BoardCompleted) -> None:
    """A board that was closed although its gate does not agree is an exception."""
    if data.force_used:
        await spend(catalog, tx, "forced_completion", str(tx.message_id), data.gate, data.subject, data.status)


async def show(catalog: Catalog, read: Read, wanted: BudgetOf) -> Budget:
    """What a site has spent in a quarter. Raises `Invalid`."""
    quarter = wanted.quarter or quarter_of(read.now)
    try:
        begins_at, ends_at = bounds_of(quarter)
    except ValueError:
        raise Invalid("quarter reads such as 2026-Q4, or leave it out for the present one.") from None
    counts = await read.pool.fetch(COUNT_SPENDS, read.site, begins_at, ends_at)
    total = sum(row["count"] for row in counts)
    rows = await read.pool.fetch(SELECT_NEWEST, read.site, begins_at, ends_at)
    return Budget(
        site=read.site,
        quarter=quarter,
        begins_at=begins_at,
        ends_at=ends_at,
        spent={row["kind"]: row["count"] for row in counts},
        total=total,
        gates=await _limits(catalog, read.pool, read.site, total),
        newest=[Spend(**row) for row in rows],
    )


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(
        queries={contract.show_budget: partial(show, catalog)},
        events={board_completed: partial(on_completed, catalog)},
    )
