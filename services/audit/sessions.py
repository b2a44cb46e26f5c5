"""Answers when somebody was at work, out of the records of commands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from libs.common.contracts.audit import sessions as contract
from libs.common.contracts.audit.sessions import Session, SessionFilter
from libs.common.contracts.base import Page
from libs.common.service import Read, Table
from services.audit.clients import with_clients
from services.audit.domain.content import derived
from services.audit.domain.sessions import sessions

LOOKED_AT_ROWS = 5000
# Records that name a client; of entries of before there were records all.
SELECT_WORK = """
SELECT seq, time, type, site, outcome, client_address, client_agent FROM entry
WHERE actor = $1 AND seq < $2 AND (client_address IS NOT NULL OR version IS NULL)
  AND ($3::text[] IS NULL OR site = ANY ($3))
ORDER BY seq DESC LIMIT $4
"""
END = 2**62


async def list_sessions(read: Read, wanted: SessionFilter) -> Page[Session]:
    """A page of sessions, newest first. A page looks at 5,000 entries at the most.

    A session that goes on behind them is left for the next page, unless it fills them all.
    """
    begin = int(wanted.cursor) if wanted.cursor else END
    rows: list[Any] = await read.pool.fetch(SELECT_WORK, wanted.actor, begin, read.sites_of(None), LOOKED_AT_ROWS)
    seen = await with_clients(read, rows, wanted.actor)
    work = [{**row, "action": derived(row["type"], wanted.actor).action} for row in seen]
    found = sessions(work, timedelta(minutes=wanted.gap_minutes))
    whole, next_cursor = found, None
    if len(found) > wanted.limit or len(rows) == LOOKED_AT_ROWS:
        # Sessions of two addresses may overlap: cut where none that is shown goes on, so that none comes twice.
        whole, next_cursor = _cut(found, wanted.limit, cut_off=len(rows) == LOOKED_AT_ROWS)
    return Page[Session](items=[Session(**one) for one in whole], next_cursor=next_cursor)


def _cut(found: list[dict[str, Any]], limit: int, *, cut_off: bool) -> tuple[list[dict[str, Any]], str | None]:
    """The longest beginning, of at most ``limit``, behind whose last entry no shown session has any."""
    best = 0
    for count in range(1, min(limit, len(found) - cut_off) + 1):
        oldest = min(one["first_seq"] for one in found[:count])
        if all(one["last_seq"] < oldest for one in found[count:]):
            best = count
    best = best or min(limit, len(found))
    return found[:best], str(min(one["first_seq"] for one in found[:best])) if best < len(found) or cut_off else None


TABLE = Table(queries={contract.list_sessions: list_sessions})
