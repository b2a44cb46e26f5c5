"""Sessions as rows: open, list, end. What ends by itself is in `watching`.

Crash here means: nothing is lost but notes of when sessions were last seen (at most a minute of them).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common import versions
from libs.common.contracts.gateway import sessions as contract
from libs.common.contracts.gateway.logins import LoginSealed
from libs.common.contracts.gateway.passwords import PasswordEntered
from libs.common.contracts.gateway.session_policy import SESSION_POLICY, SessionPolicy
from libs.common.contracts.gateway.sessions import (
    SessionBegun,
    SessionEnded,
    SessionKey,
    SessionOpened,
    SessionRevokeSealed,
    SessionSealed,
    SessionsEnded,
    SessionsEndSealed,
    SessionsOf,
    SessionsRevokeSealed,
    SessionsWanted,
    SessionView,
    session_opened,
)
from libs.common.contracts.gateway.sign_in import SignInSealed
from libs.common.contracts.gateway.users import ByRule
from libs.common.listing import Source
from libs.common.personal import MASK, may_read
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE
from services.gateway.identity.below import lock_lesser
from services.gateway.identity.requiring import note_at_sign_in
from services.gateway.identity.session_ends import end, end_all_of, open_of

COLUMNS = """session_id, username, opened_at, last_seen_at,
    last_seen_at + make_interval(mins => idle_minutes) AS idle_at, ends_at, address, agent, token_id, provider,
    program, factor_at"""
# Two that are opened at once by one person count one after the other.
LOCK_PERSON = "SELECT username FROM users WHERE username = $1 AND active AND owner IS NULL FOR NO KEY UPDATE"
SELECT_WHEN_OVER = "SELECT expires_at FROM tokens WHERE token_id = $1 AND username = $2 AND revoked_at IS NULL"
INSERT_SESSION = f"""
INSERT INTO sessions (secret_sha256, username, token_id, opened_at, last_seen_at, idle_minutes, ends_at, address, agent,
    provider, provider_sid, program, factor_at, amr, acr)
VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}, left(encode(secret_sha256, 'hex'), 16) AS fingerprint
"""  # noqa: S608  only a constant of ours is put in
SELECT_OPEN = f"""
SELECT {COLUMNS} FROM sessions WHERE username = $1 AND ended_at IS NULL ORDER BY session_id
"""  # noqa: S608  only a constant of ours is put in
SELECT_PERSON = "SELECT true FROM users WHERE username = $1 AND owner IS NULL"


async def open_session(tx: Tx, body: SessionSealed) -> SessionOpened:
    """Store a session of the person whose token was shown. The oldest go where a person has too many.

    Raises `Forbidden` where the token or its person is no longer good.
    """
    person = await tx.connection.fetchval(LOCK_PERSON, tx.actor)
    token_ends_at = await tx.connection.fetchval(SELECT_WHEN_OVER, body.token_id, tx.actor)
    if person is None or token_ends_at is None:
        raise Forbidden("Only an active person opens a session, with a token that works; accounts of machines don't.")
    return await store(tx, body, tx.actor, token_id=body.token_id, until=token_ends_at)


async def store(
    tx: Tx,
    body: SessionSealed | SignInSealed | PasswordEntered | LoginSealed,
    username: str,
    *,
    token_id: int | None = None,
    until: datetime | None = None,
    provider: str | None = None,
    by: ByRule | None = None,
    sid: str | None = None,
    program: bool = False,
    factor_at: datetime | None = None,
    amr: Sequence[str] = (),
    acr: str | None = None,
) -> SessionOpened:
    """Store a session of this person, who is locked. ``until``: when what it was opened with ends."""
    policy = await policy_of(tx.connection)
    open_ = await tx.connection.fetch(SELECT_OPEN, username)
    if (excess := len(open_) + 1 - policy.max_of_person) > 0:
        oldest = sorted(open_, key=lambda row: (row["last_seen_at"], row["session_id"]))
        await end(tx, [row["session_id"] for row in oldest[:excess]], "quota")
    idle, life = limits_of(policy, program=program)
    ends_at = tx.now + life
    row = await tx.connection.fetchrow(
        INSERT_SESSION,
        bytes.fromhex(body.secret_sha256),
        username,
        token_id,
        tx.now,
        int(idle.total_seconds() // 60),
        ends_at if until is None else min(until, ends_at),
        body.address,
        body.agent,
        provider,
        sid,
        program,
        factor_at,
        list(amr),
        acr,
    )
    if row is None:
        raise Conflict("This secret is in use already; ask again.")
    await note_at_sign_in(tx, username, amr, acr)
    told = SessionBegun(**{name: row[name] for name in SessionBegun.model_fields if name != "by"}, by=by)
    tx.emit(session_opened, told, subject=str(row["session_id"]))
    return SessionOpened(**row, current=True)


async def list_sessions(read: Read, params: SessionsWanted) -> list[SessionView]:
    """One's own that are open, the oldest first; to a token that is bound, without places and programs."""
    rows = await read.pool.fetch(SELECT_OPEN, read.actor)
    open_ = [_view(row, params.caller_session_id) for row in rows if min(row["idle_at"], row["ends_at"]) > read.now]
    return open_ if params.places else [one.model_copy(update={"address": "", "agent": ""}) for one in open_]


async def end_session(tx: Tx, body: SessionKey) -> SessionEnded:
    """End one's own session. Raises `NotFound` for those of others, and what has ended already."""
    mine = await open_of(tx.connection, tx.actor)
    ended = await end(tx, [body.session_id], "asked") if body.session_id in mine else []
    if not ended:
        raise NotFound(f"You have no open session {body.session_id}; GET /api/me/sessions lists them.")
    return ended[0]


async def end_sessions(tx: Tx, body: SessionsEndSealed) -> SessionsEnded:
    """End all of one's own, but the current one if it is to stay."""
    kept = body.caller_session_id if body.keep_current else None
    return await end_all_of(tx, tx.actor, kept)


async def list_user_sessions(read: Read, params: SessionsOf) -> list[SessionView]:
    """Those of a person that are open, the oldest first. Raises `NotFound`."""
    await _require_person(read.pool, params.username)
    rows = await read.pool.fetch(SELECT_OPEN, params.username)
    open_ = [_view(row, None) for row in rows if min(row["idle_at"], row["ends_at"]) > read.now]
    if may_read(read.permissions, read.actor, params.username):
        return open_
    return [one.model_copy(update={"address": MASK, "agent": MASK}) for one in open_]


async def revoke_session(tx: Tx, body: SessionRevokeSealed) -> SessionEnded:
    """End somebody's session. Raises `NotFound` for one of another person, and what has ended already.

    Raises `Forbidden` for who holds more than the caller, and of a manager for who holds as much.
    """
    await lock_lesser(tx, body.username, body)
    of_person = await open_of(tx.connection, body.username)
    ended = await end(tx, [body.session_id], "asked") if body.session_id in of_person else []
    if not ended:
        raise NotFound(
            f"{body.username} has no open session {body.session_id}; GET /api/users/{body.username}/sessions lists "
            "them."
        )
    return ended[0]


async def revoke_sessions(tx: Tx, body: SessionsRevokeSealed) -> SessionsEnded:
    """End all of a person, but the current one if it is to stay. Raises `NotFound`, `Forbidden` like that of one."""
    await lock_lesser(tx, body.username, body)
    kept = body.caller_session_id if body.keep_current else None
    return await end_all_of(tx, body.username, kept)


def limits_of(policy: SessionPolicy, *, program: bool) -> tuple[timedelta, timedelta]:
    """How long a session may be idle, and how long it lasts at the most."""
    if program:
        return timedelta(hours=policy.login_idle_hours), timedelta(days=policy.login_life_days)
    return timedelta(minutes=policy.idle_minutes), timedelta(hours=policy.life_hours)


async def policy_of(source: Source) -> SessionPolicy:
    """The policy in force."""
    return (await versions.current(source, SESSION_POLICY, EVERYWHERE)).content


async def _require_person(source: Source, username: str) -> None:
    if not await source.fetch(SELECT_PERSON, username):
        raise NotFound(f"There is no user {username}.")


def _view(row: asyncpg.Record, current: int | None) -> SessionView:
    given: dict[str, Any] = dict(row)
    return SessionView(**given, current=row["session_id"] == current)


TABLE = Table(
    commands={
        contract.open_session: open_session,
        contract.end_session: end_session,
        contract.end_sessions: end_sessions,
        contract.revoke_session: revoke_session,
        contract.revoke_sessions: revoke_sessions,
    },
    queries={contract.list_sessions: list_sessions, contract.list_user_sessions: list_user_sessions},
)
