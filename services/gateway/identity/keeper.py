"""The keeper's login: one user with one token, for the administrator's process that makes backups and rehearses.

Its secret is derived from the cluster secret, which that process has anyway, and the gateway is given its SHA-256:
nothing is handed over, and a new cluster secret is a new token. The role may report backups and rehearsals, no more.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common import outbox
from libs.common.contracts.gateway.tokens import TokenView, token_issued
from libs.common.contracts.gateway.users import UserTold, user_created
from libs.common.contracts.roles import KEEPER
from libs.common.running import Running
from libs.common.telemetry import log
from libs.common.unasked import unasked
from services.gateway.domain.scope import ALL
from services.gateway.identity import token_ends, tokens, users

USER = "headgate-keeper"
LABEL = "derived from the cluster secret"
LIFETIME = timedelta(days=3650)
_LOCK = 0x4B454550  # "KEEP": of two gateways that start at once one makes it

SELECT_OTHERS = """
SELECT token_id FROM tokens
WHERE username = $1 AND label = $2 AND secret_sha256 <> $3 AND revoked_at IS NULL ORDER BY token_id FOR UPDATE
"""


async def admit_keeper(running: Running) -> None:
    """See that the keeper can come in, if the settings name its token; those of other cluster secrets are revoked.

    What people have decided stays: a user that is not active any more, another role, a token that was revoked.
    """
    given = running.settings.keeper_token_sha256
    if given is None:
        return
    digest, now = bytes.fromhex(given), running.clock()
    async with running.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        tx = unasked("gateway", connection, now)
        user = await connection.fetchrow(
            users.INSERT_USER, USER, KEEPER, [ALL], "Makes backups and rehearses", now, None
        )
        if user is not None:
            tx.emit(user_created, UserTold(**user), subject=USER)
        elif (await connection.fetchrow(users.SELECT_USER, USER))["role"] != KEEPER:  # type: ignore[index]
            log.warning("the user of the keeper has another role and gets no token", user=USER)
            return
        # Standing: nobody can issue this secret anew, and a keeper that stood still for long must come in again.
        token = await connection.fetchrow(
            tokens.INSERT_TOKEN, digest, USER, LABEL, [ALL], now, now + LIFETIME, True, *tokens.UNBOUND
        )
        if token is not None:
            tx.emit(token_issued, TokenView(**token), subject=str(token["token_id"]))
        others = await connection.fetch(SELECT_OTHERS, USER, LABEL, digest)
        await token_ends.end_tokens(tx, [row["token_id"] for row in others], "replaced")
        await outbox.stage(connection, tx.staged)
    running.relay.nudge()
