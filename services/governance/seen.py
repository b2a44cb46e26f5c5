"""Who saw a verdict: a row for each person who said so, and an event for the first time only."""

from __future__ import annotations

from functools import partial

from libs.common.contracts.base import Page
from libs.common.contracts.governance import seen as contract
from libs.common.contracts.governance.runs import RunKey
from libs.common.contracts.governance.seen import SeenBy, SeenFilter, VerdictFirstSeen, VerdictSeen
from libs.common.listing import Key, Listing
from libs.common.problems import NotFound
from libs.common.service import Read, Table, Tx
from services.governance.catalog import Catalog

HAS_RUN = "SELECT true FROM runs WHERE gate = $1 AND site = $2 AND run_id = $3"
STORE_SEEN = """
INSERT INTO verdict_seen (run_id, username, first_seen_at, last_seen_at)
SELECT run_id, $4, $5, $5 FROM runs WHERE gate = $1 AND site = $2 AND run_id = $3
ON CONFLICT (run_id, username) DO NOTHING RETURNING first_seen_at, last_seen_at
"""
# Replicas apply orders in any order: the last time never goes back.
SEEN_AGAIN = """
UPDATE verdict_seen SET last_seen_at = greatest(last_seen_at, $5) FROM runs
WHERE gate = $1 AND site = $2 AND runs.run_id = $3 AND verdict_seen.run_id = runs.run_id AND username = $4
RETURNING first_seen_at, last_seen_at
"""
LIST_SEEN = Listing(
    table="verdict_seen",
    columns="username, first_seen_at, last_seen_at",
    scope={"run_id": "bigint"},
    order=(Key("first_seen_at", "timestamptz"), Key("username", "text")),
)


async def mark_seen(catalog: Catalog, tx: Tx, body: RunKey) -> VerdictSeen:
    """Note that who asks saw the verdict. Raises `NotFound`, also for one of another gate or site."""
    await catalog.check(tx.connection, body.gate, tx.site)
    who = (body.gate, tx.site, body.run_id, tx.actor, tx.now)
    row = await tx.connection.fetchrow(STORE_SEEN, *who)
    is_first = row is not None
    row = row or await tx.connection.fetchrow(SEEN_AGAIN, *who)
    if row is None:
        raise _unknown(body)
    seen = VerdictSeen(
        run_id=body.run_id, gate=body.gate, site=tx.site, username=tx.actor, is_first=is_first, **dict(row)
    )
    if is_first:
        told = VerdictFirstSeen(**seen.model_dump(include=set(VerdictFirstSeen.model_fields)))
        tx.emit(contract.verdict_seen, told, subject=str(body.run_id))
    return seen


async def list_seen(catalog: Catalog, read: Read, wanted: SeenFilter) -> Page[SeenBy]:
    """Who saw it, who came first first. Raises `NotFound`, also for one of another gate or site, and `Invalid`."""
    await catalog.check(read.pool, wanted.gate, read.site)
    if await read.pool.fetchval(HAS_RUN, wanted.gate, read.site, wanted.run_id) is None:
        raise _unknown(wanted)
    found = await LIST_SEEN.page(read.pool, {"run_id": wanted.run_id}, limit=wanted.limit, cursor=wanted.cursor)
    return Page[SeenBy](items=[SeenBy(**row) for row in found.rows], next_cursor=found.next_cursor)


def _unknown(key: RunKey) -> NotFound:
    return NotFound(f"The gate {key.gate} has no run {key.run_id} in this site.")


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(
        commands={contract.mark_seen: partial(mark_seen, catalog)},
        queries={contract.list_seen: partial(list_seen, catalog)},
    )
