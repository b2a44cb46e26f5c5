"""Sessions end: each is told once, whoever or whatever ended it.

Crash here means: nothing, a session has ended and it is told, or neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from libs.common.contracts.changes import stated
from libs.common.contracts.gateway.sessions import Reason, SessionEnded, SessionsEnded, session_ended
from libs.common.listing import Source
from libs.common.service import Tx

SELECT_NUMBERS = "SELECT session_id FROM sessions WHERE username = $1 AND ended_at IS NULL ORDER BY session_id"
MARK_ENDED = """
UPDATE sessions SET ended_at = $2, ended_reason = $3 WHERE session_id = ANY ($1::bigint[]) AND ended_at IS NULL
RETURNING session_id, username, ended_reason AS reason
"""


async def end(tx: Tx, session_ids: Sequence[int], reason: Reason) -> list[SessionEnded]:
    """End those that have not yet, and tell each."""
    return tell_ended(tx, await tx.connection.fetch(MARK_ENDED, list(session_ids), tx.now, reason))


def tell_ended(tx: Tx, rows: Sequence[asyncpg.Record]) -> list[SessionEnded]:
    """Tell each of these rows, which had not ended until now."""
    ended = sorted(
        (SessionEnded(**row, changes=stated({}, {"ended_at": tx.now, "ended_reason": row["reason"]})) for row in rows),
        key=lambda one: one.session_id,
    )
    for one in ended:
        tx.emit(session_ended, one, subject=str(one.session_id))
    return ended


async def end_all_of(tx: Tx, username: str, kept: int | None) -> SessionsEnded:
    """End all of a person's sessions but ``kept``."""
    found = [number for number in await open_of(tx.connection, username) if number != kept]
    ended = await end(tx, found, "asked")
    return SessionsEnded(username=username, session_ids=[one.session_id for one in ended])


async def open_of(source: Source, username: str) -> list[int]:
    """The numbers of a person's sessions that have not ended, the oldest first."""
    return [row["session_id"] for row in await source.fetch(SELECT_NUMBERS, username)]
