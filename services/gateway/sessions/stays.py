"""Stays at a provider (its `sid`) that are over: a session that was on its way when its stay ended is not opened.

A sign-in and a logout of one stay wait for each other, so whichever comes second knows of the first.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from libs.common.service import Connection, Tx

LEFT_FOR = timedelta(hours=1)  # longer than any sign-in is on its way

LOCK_STAY = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
SELECT_LEFT = "SELECT true FROM identity_use WHERE used_sha256 = $1"
NOTE_LEFT = """
INSERT INTO identity_use (used_sha256, used_until) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""


async def has_left(connection: Connection, issuer: str, sid: str) -> bool:
    """Whether the provider has ended this stay already. Until the transaction ends, it can't do so meanwhile."""
    stay = _stay(issuer, sid)
    await connection.execute(LOCK_STAY, stay)
    return bool(await connection.fetchval(SELECT_LEFT, _digest(stay)))


async def note_left(tx: Tx, issuer: str, sid: str) -> None:
    """Remember that this stay is over; waits for a sign-in of it that is being stored."""
    stay = _stay(issuer, sid)
    await tx.connection.execute(LOCK_STAY, stay)
    await tx.connection.execute(NOTE_LEFT, _digest(stay), tx.now + LEFT_FOR)


def _stay(issuer: str, sid: str) -> str:
    return f"sign-out\n{issuer}\n{sid}"


def _digest(stay: str) -> bytes:
    return sha256(stay.encode()).digest()
