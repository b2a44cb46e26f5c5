"""Logins of programs as rows: open one, and renew it. A login is a session, and ends as those do.

Crash here means: a renewal is stored whole or not at all; the program asks the same once more in either case.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg

from libs.common.contracts.changes import stated
from libs.common.contracts.gateway import logins as contract
from libs.common.contracts.gateway.logins import (
    LEEWAY_S,
    LoginOutcome,
    LoginRenewed,
    LoginRenewSealed,
    LoginReused,
    LoginSealed,
    LoginView,
    login_renewed,
    login_reused,
)
from libs.common.problems import Conflict, Forbidden, Unauthorized
from libs.common.service import Table, Tx
from services.gateway.domain.sessions import ending
from services.gateway.identity.session_ends import end
from services.gateway.sessions.keeping import LOCK_PERSON, SELECT_WHEN_OVER, policy_of, store

OVER = "This login is over, or unknown. Log in again."
SECOND = (
    "This secret was used a moment ago by another program of yours; take the token that it has got, or log in again. "
    "(If there is none, somebody else has it: headgate sessions end-all.)"
)
REUSED = (
    "This secret was used before, so two have it, and the login has ended for both. Log in again, and find out who the "
    "other is."
)

SELECT_SESSION = """
SELECT token_id, provider, provider_sid, amr, acr FROM sessions
WHERE session_id = $1 AND username = $2 AND ended_at IS NULL AND NOT program FOR SHARE
"""
INSERT_LOGIN = """
INSERT INTO logins (session_id, refresh_sha256, access_until, renewed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING access_until
"""
# Two that come at once wait for each other here, and the second sees what the first has left.
LOCK_LOGIN = """
SELECT sessions.session_id, sessions.username, sessions.ends_at, sessions.last_seen_at, sessions.idle_minutes,
    logins.refresh_sha256, logins.previous_sha256, logins.renewed_at, logins.access_until
FROM logins JOIN sessions USING (session_id) JOIN users USING (username)
    LEFT JOIN tokens ON tokens.token_id = sessions.token_id
WHERE logins.session_id = $1 AND sessions.username = $3 AND sessions.ended_at IS NULL AND users.active
    AND tokens.revoked_at IS NULL AND (tokens.expires_at IS NULL OR tokens.expires_at > $2)
FOR UPDATE OF logins, sessions
"""
SELECT_PAST = "SELECT used_at FROM login_past WHERE refresh_sha256 = $1 AND session_id = $2"
INSERT_PAST = "INSERT INTO login_past (refresh_sha256, session_id, used_at) VALUES ($1, $2, $3)"
SELECT_TAKEN = "SELECT true FROM login_past WHERE refresh_sha256 = $1"
RENEW = """
UPDATE logins SET refresh_sha256 = $2, previous_sha256 = $3, access_until = $4, renewed_at = $5 WHERE session_id = $1
"""
GIVE_NEXT = """
UPDATE sessions SET secret_sha256 = $2, last_seen_at = greatest(last_seen_at, $3), address = $4 WHERE session_id = $1
RETURNING last_seen_at + make_interval(mins => idle_minutes) AS idle_at,
    left(encode(secret_sha256, 'hex'), 16) AS fingerprint
"""


async def open_login(tx: Tx, body: LoginSealed) -> LoginView:
    """Sign a program of the actor in, with what the actor came with. Raises `Forbidden` where that is not good."""
    person = await tx.connection.fetchval(LOCK_PERSON, tx.actor)
    token_id, given, until = body.token_id, {}, None
    if body.caller_session_id is not None:
        row = await tx.connection.fetchrow(SELECT_SESSION, body.caller_session_id, tx.actor)
        if row is None:
            raise Forbidden("Your session has ended. Sign in again.")
        token_id, given = row["token_id"], {"provider": row["provider"], "sid": row["provider_sid"]}
        given |= {"amr": row["amr"] or (), "acr": row["acr"]}
    if token_id is not None:
        until = await tx.connection.fetchval(SELECT_WHEN_OVER, token_id, tx.actor)
    if person is None or (token_id is not None and until is None):
        raise Forbidden("Only an active person signs a program in, with a token or session that works.")
    policy = await policy_of(tx.connection)
    opened = await store(tx, body, tx.actor, token_id=token_id, until=until, program=True, **given)
    access_until = min(tx.now + timedelta(minutes=policy.access_minutes), opened.ends_at)
    values = (opened.session_id, bytes.fromhex(body.refresh_sha256), access_until, tx.now)
    if not await tx.connection.fetchval(INSERT_LOGIN, *values):
        raise Conflict("This secret is in use already; ask again.")
    return LoginView(**opened.model_dump(include=set(LoginView.model_fields)), access_until=access_until)


async def renew_login(tx: Tx, body: LoginRenewSealed) -> LoginOutcome:
    """Give the next token, to the first who comes with the secret; the same request once more gets another token.

    Whoever comes with another secret that was used ends the login, but in the first seconds is only refused: two
    programs of one person came at once. Raises `Unauthorized` for a login that is over, and `Conflict`.
    """
    row = await tx.connection.fetchrow(LOCK_LOGIN, body.session_id, tx.now, tx.actor)
    if row is None or ending(row["last_seen_at"], timedelta(minutes=row["idle_minutes"]), row["ends_at"], tx.now):
        raise Unauthorized(OVER)
    shown, following = bytes.fromhex(body.refresh_sha256), bytes.fromhex(body.next_sha256)
    if shown == row["refresh_sha256"]:
        if following == shown or await tx.connection.fetchval(SELECT_TAKEN, following):
            raise Conflict("The next secret must be a new one.")
        await tx.connection.execute(INSERT_PAST, shown, body.session_id, tx.now)
        return await _give(tx, row, body, following)
    used_at = await tx.connection.fetchval(SELECT_PAST, shown, body.session_id)
    if used_at is None:
        raise Unauthorized(OVER)
    newest = row["previous_sha256"]
    if shown == newest and following == row["refresh_sha256"]:
        return await _give(tx, row, body, following, repeated=True)
    if shown == newest and tx.now - used_at < timedelta(seconds=LEEWAY_S):
        raise Conflict(SECOND)
    await end(tx, [body.session_id], "reused")
    told = LoginReused(session_id=body.session_id, username=tx.actor, used_at=used_at)
    tx.emit(login_reused, told, subject=str(body.session_id))
    over: dict[str, Any] = {"idle_at": tx.now, "ends_at": tx.now, "access_until": tx.now, "fingerprint": ""}
    return LoginOutcome(session_id=body.session_id, username=tx.actor, state="reused", **over)


async def _give(
    tx: Tx, row: asyncpg.Record, body: LoginRenewSealed, following: bytes, *, repeated: bool = False
) -> LoginOutcome:
    """Store the next token and secret of a login that is locked."""
    policy = await policy_of(tx.connection)
    renewed_at = row["renewed_at"] if repeated else tx.now
    access_until = min(tx.now + timedelta(minutes=policy.access_minutes), row["ends_at"])
    shown = bytes.fromhex(body.refresh_sha256)
    await tx.connection.execute(RENEW, body.session_id, following, shown, access_until, renewed_at)
    values = (body.session_id, bytes.fromhex(body.secret_sha256), tx.now, body.address)
    given = await tx.connection.fetchrow(GIVE_NEXT, *values)
    assert given is not None  # noqa: S101  it is locked
    before: dict[str, Any] = {"access_until": row["access_until"], "renewed_at": row["renewed_at"]}
    changes = stated(before, {"access_until": access_until, "renewed_at": renewed_at})
    told = LoginRenewed(session_id=body.session_id, username=tx.actor, repeated=repeated, changes=changes)
    tx.emit(login_renewed, told, subject=str(body.session_id))
    found = {"access_until": access_until, "ends_at": row["ends_at"], **given}
    return LoginOutcome(session_id=body.session_id, username=tx.actor, **found)


TABLE = Table(commands={contract.open_login: open_login, contract.renew_login: renew_login})
