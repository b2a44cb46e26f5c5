"""A provider says that a person has left it: the sessions that it opened here end.

Crash here means: the logout token counts as used only if the sessions are ended, in one transaction, so the provider
can send it again.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common.contracts.gateway.sign_in import SignedOut, SignOutSealed, person_signed_out, sign_out
from libs.common.problems import Refusal
from libs.common.service import Table, Tx
from services.gateway.identity.federation import FORGET_OLD, NOTE_USED
from services.gateway.identity.session_ends import end
from services.gateway.sessions.entering import SELECT_LINK
from services.gateway.sessions.stays import note_left

# With `sub` and `sid`: that person's of that stay, and those of which no stay is known.
SELECT_OF_STAY = """
SELECT session_id FROM sessions
WHERE provider = $1 AND ended_at IS NULL AND ($2::text IS NULL OR username = $2)
    AND ($3::text IS NULL OR provider_sid = $3 OR ($2 IS NOT NULL AND provider_sid IS NULL))
ORDER BY session_id
"""


async def leave(tx: Tx, body: SignOutSealed) -> SignedOut:
    """End the sessions that a provider has ended. Raises `Refusal` for a logout token that was used before."""
    await tx.connection.execute(FORGET_OLD, tx.now - timedelta(days=1))
    if not await tx.connection.fetchval(NOTE_USED, bytes.fromhex(body.used_sha256), body.used_until):
        raise Refusal("This logout token was used before.")
    if body.sid is not None:
        await note_left(tx, body.issuer, body.sid)
    username: str | None = None
    if body.sub is not None:
        username = await tx.connection.fetchval(SELECT_LINK, body.issuer, body.sub)
    ended = []
    if username is not None or body.sub is None:
        rows = await tx.connection.fetch(SELECT_OF_STAY, body.provider, username, body.sid)
        ended = await end(tx, [row["session_id"] for row in rows], "provider")
    done = SignedOut(provider=body.provider, session_ids=[one.session_id for one in ended])
    tx.emit(person_signed_out, done, subject=body.provider)
    return done


TABLE = Table(commands={sign_out: leave})
