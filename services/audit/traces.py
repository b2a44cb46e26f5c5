"""Answers what one request set off: the entries of a trace as a tree, with what the notifier made of its events."""

from __future__ import annotations

from functools import cache
from typing import Any

from libs.common.contracts import CONTRACTS
from libs.common.contracts.audit import traces as contract
from libs.common.contracts.audit.traces import MAX_ENTRIES, Trace, TraceKey, TraceNode
from libs.common.contracts.notifier.deliveries import EventIds, deliveries_of_events
from libs.common.problems import NotFound, Refusal
from libs.common.service import Read, Table
from services.audit.clients import with_clients
from services.audit.domain.trace import tree

_COLUMNS = """
seq, event_id, type, site, actor, subject, time, causationid, correlationid, outcome, reason, issue, client_address,
client_agent
"""
SELECT_TRACE = f"""
SELECT {_COLUMNS} FROM entry WHERE trace_id = $1 AND ($2::text[] IS NULL OR site = ANY ($2)) ORDER BY seq LIMIT $3
"""  # noqa: S608 - a constant of ours
SELECT_REQUEST = f"""
SELECT {_COLUMNS} FROM entry WHERE correlationid = $1 AND ($2::text[] IS NULL OR site = ANY ($2)) ORDER BY seq LIMIT $3
"""  # noqa: S608 - a constant of ours
MAY_SEE = "subscription:read"


async def get_trace(read: Read, wanted: TraceKey) -> Trace:
    """The trace as far as the asker may see its sites. Raises `NotFound` where that is nothing."""
    statement = SELECT_REQUEST if "-" in wanted.trace_id else SELECT_TRACE
    rows: list[Any] = await read.pool.fetch(statement, wanted.trace_id, read.sites_of(None), MAX_ENTRIES + 1)
    if not rows:
        raise NotFound(
            f"No entry of your sites belongs to {wanted.trace_id}. A request's id is found by what its answer said in "
            "X-Request-Id; what began before the log knew traces is found by that alone."
        )
    shown = await with_clients(read, rows[:MAX_ENTRIES])
    told, known = await _deliveries(read, [row["event_id"] for row in shown])
    nodes = tree(shown, _commands(), told)
    return Trace(
        trace_id=wanted.trace_id,
        entry_count=len(shown),
        left_out=len(rows) > MAX_ENTRIES,
        notifications=known,
        nodes=[TraceNode.model_validate(node) for node in nodes],
    )


async def _deliveries(read: Read, event_ids: list[Any]) -> tuple[list[dict[str, Any]], Any]:
    """What the notifier made of events, and whether that is known."""
    if MAY_SEE not in read.permissions:
        return [], "hidden"
    try:
        found = await read.ask(deliveries_of_events, EventIds(event_ids=event_ids))
    except Refusal:
        return [], "unknown"
    return [one.model_dump() for one in found], "known"


@cache
def _commands() -> frozenset[str]:
    return frozenset(command.type for one in CONTRACTS.values() for command in one.commands)


TABLE = Table(queries={contract.get_trace: get_trace})
