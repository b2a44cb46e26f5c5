"""Tokens end before their time: each is told once. And whether what a command was sent with works until it is applied.

Crash here means: nothing, a token has ended and it is told, or neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.contracts.changes import newly
from libs.common.contracts.gateway.tokens import (
    Reason,
    TokenRevoked,
    TokenRotateSealed,
    TokenSealed,
    token_revoked,
)
from libs.common.problems import Forbidden
from libs.common.service import Tx

# What was revoked before keeps its time and reason.
MARK_REVOKED = """
UPDATE tokens SET revoked_at = $2, revoked_reason = $3 WHERE token_id = ANY ($1::bigint[]) AND revoked_at IS NULL
RETURNING token_id, username, revoked_at, revoked_reason
"""
SELECT_UNENDED = """
SELECT token_id FROM tokens WHERE username = ANY ($1::text[]) AND revoked_at IS NULL AND expires_at > $2
ORDER BY token_id
"""
# Kept from being revoked until this is done; whoever revokes all locks the users before their tokens, as we do.
STILL_WORKS = """
SELECT true FROM tokens WHERE token_id = $1 AND username = $2 AND revoked_at IS NULL AND expires_at > $3 FOR SHARE
"""
STILL_OPEN = """
SELECT true FROM sessions WHERE session_id = $1 AND username = $2 AND ended_at IS NULL AND ends_at > $3 FOR SHARE
"""


async def end_tokens(tx: Tx, token_ids: Sequence[int], reason: Reason) -> list[TokenRevoked]:
    """Revoke those that are not yet, and tell each."""
    rows = await tx.connection.fetch(MARK_REVOKED, list(token_ids), tx.now, reason)
    # Only what was not revoked is, so what is there now is all new.
    ended = [
        TokenRevoked(
            token_id=row["token_id"],
            username=row["username"],
            reason=reason,
            changes=newly(dict(row), "revoked_at", "revoked_reason"),
        )
        for row in rows
    ]
    for one in ended:
        tx.emit(token_revoked, one, subject=str(one.token_id))
    return ended


async def end_all_of(tx: Tx, usernames: Sequence[str], reason: Reason, kept: int | None = None) -> list[TokenRevoked]:
    """Revoke all that work of these users, who are locked, but ``kept``."""
    found = [row["token_id"] for row in await tx.connection.fetch(SELECT_UNENDED, list(usernames), tx.now)]
    return await end_tokens(tx, [number for number in found if number != kept], reason)


async def require_working(tx: Tx, body: TokenSealed | TokenRotateSealed) -> None:
    """Raises `Forbidden` if what the caller came with has ended since the edge admitted the command.

    Else whoever holds a stolen token has a fresh one just after all were revoked. A command that a gateway of a version
    before has sent does not say with which session the caller came.
    """
    shares = [(STILL_WORKS, body.caller_token_id), (STILL_OPEN, body.caller_session_id)]
    for statement, number in shares:
        if number and not await tx.connection.fetchval(statement, number, tx.actor, tx.now):
            raise Forbidden("What you came with has ended meanwhile: your token was revoked, or your session is over.")
