"""Tokens: issue, revoke, list; and who the caller is. A secret's SHA-256 is all that ever reaches this module."""

from __future__ import annotations

from datetime import timedelta

from libs.common.contracts.gateway import me as me_contract
from libs.common.contracts.gateway import tokens as contract
from libs.common.contracts.gateway.me import CallerKey, Me
from libs.common.contracts.gateway.tokens import (
    Expiring,
    ExpiryWanted,
    TokenFilter,
    TokenIssued,
    TokenRevoke,
    TokenRevoked,
    TokenSealed,
    TokenView,
    token_issued,
    token_revoked,
)
from libs.common.contracts.roles import ROLES, may
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from services.gateway.domain.scope import ALL, narrow, within
from services.gateway.sites import require_sites
from services.gateway.users import SELECT_USER, acting_user

MAX_LIVE_TOKENS = 100
NEEDS_ALL = "Tokens of other users need the site scope *, which your token does not have."

COLUMNS = """token_id, username, label, left(encode(secret_sha256, 'hex'), 16) AS fingerprint, sites, created_at,
    expires_at, revoked_at, last_used_at"""
COUNT_LIVE = "SELECT count(*) FROM tokens WHERE username = $1 AND revoked_at IS NULL AND expires_at > $2"
INSERT_TOKEN = f"""
INSERT INTO tokens (secret_sha256, username, label, sites, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
LOCK_TOKEN = f"SELECT {COLUMNS} FROM tokens WHERE token_id = $1 FOR UPDATE"  # noqa: S608  only a constant of ours
MARK_REVOKED = "UPDATE tokens SET revoked_at = coalesce(revoked_at, $2) WHERE token_id = $1 RETURNING revoked_at"
SELECT_TOKENS = f"""
SELECT {COLUMNS} FROM tokens WHERE $1::text IS NULL OR username = $1 ORDER BY token_id DESC LIMIT 1000
"""  # noqa: S608  only a constant of ours is put in
SELECT_CALLER = """
SELECT users.username, users.role, tokens.token_id, tokens.expires_at FROM tokens JOIN users USING (username)
WHERE tokens.token_id = $1 AND users.username = $2
"""


# Live ones only: what has expired already presses nobody any more.
SELECT_EXPIRING = """
SELECT count(*) AS live_count, count(*) FILTER (WHERE expires_at <= $2) AS expiring_count,
    coalesce((array_agg(token_id ORDER BY expires_at) FILTER (WHERE expires_at <= $2))[:20], '{}') AS token_ids,
    min(expires_at) AS next_at
FROM tokens JOIN users USING (username) WHERE revoked_at IS NULL AND expires_at > $1 AND users.active
"""


async def expiring_tokens(read: Read, wanted: ExpiryWanted) -> Expiring:
    """Tokens that stop working within so many hours."""
    row = await read.pool.fetchrow(SELECT_EXPIRING, read.now, read.now + timedelta(hours=wanted.within_hours))
    assert row is not None  # noqa: S101 - a count has one row
    return Expiring(**dict(row))


async def issue_token(tx: Tx, body: TokenSealed) -> TokenIssued:
    """Store a token for oneself, or for another user by those who may write identity and come with all sites.

    Its scope is what is asked for, what the caller has now and (at every use) what the user has: never more.
    """
    actor = await acting_user(tx.connection, tx.actor)
    username = body.username or actor.username
    if username != actor.username and not may(actor.role, "identity:write"):
        raise Forbidden("You may issue tokens for yourself only; ask an owner to issue one for somebody else.")
    if username != actor.username and ALL not in body.caller_sites:
        raise Forbidden(NEEDS_ALL)
    user = await tx.connection.fetchrow(SELECT_USER, username)
    if user is None:
        raise NotFound(f"There is no user {username}.")
    if not user["active"]:
        raise Conflict(f"The user {username} is not active.")
    if not body.sites:
        raise Invalid("sites must hold at least one site name, or * for all that the user has.")
    await require_sites(tx.connection, body.sites)
    reach = narrow(user["sites"], body.caller_sites)
    if ALL not in body.sites and not within(body.sites, reach):
        raise Forbidden(f"A token may only narrow the scope, which here is: {', '.join(reach) or 'no site'}.")
    if await tx.connection.fetchval(COUNT_LIVE, username, tx.now) >= MAX_LIVE_TOKENS:
        raise Conflict(f"{username} has {MAX_LIVE_TOKENS} live tokens already; revoke some first.")
    row = await tx.connection.fetchrow(
        INSERT_TOKEN,
        bytes.fromhex(body.secret_sha256),
        username,
        body.label,
        list(narrow(body.sites, body.caller_sites)),
        tx.now,
        tx.now + timedelta(hours=body.expires_in_hours),
    )
    if row is None:
        raise Conflict("This secret is in use already; ask again.")
    tx.emit(token_issued, TokenView(**row), subject=str(row["token_id"]))
    return TokenIssued(**row)


async def revoke_token(tx: Tx, body: TokenRevoke) -> TokenView:
    """Revoke one's own token, or anybody's by those who may write identity; others get `NotFound`.

    Raises `Forbidden` where the caller's scope is narrower than the token's, or not ``*`` for somebody else's token.
    """
    actor = await acting_user(tx.connection, tx.actor)
    row = await tx.connection.fetchrow(LOCK_TOKEN, body.token_id)
    if row is None or (row["username"] != actor.username and not may(actor.role, "identity:write")):
        raise NotFound(f"You have no token {body.token_id}.")
    if row["username"] != actor.username and ALL not in body.caller_sites:
        raise Forbidden(NEEDS_ALL)
    # What the token reaches now, as at every use: its own sites and its user's.
    if not within(narrow(actor.sites, row["sites"]), body.caller_sites):
        raise Forbidden(f"The token {body.token_id} reaches more sites than yours; revoke it with a wider one.")
    revoked_at = await tx.connection.fetchval(MARK_REVOKED, body.token_id, tx.now)
    data = TokenRevoked(token_id=body.token_id, username=row["username"])
    tx.emit(token_revoked, data, subject=str(body.token_id))
    return TokenView(**{**row, "revoked_at": revoked_at})


async def list_tokens(read: Read, params: TokenFilter) -> list[TokenView]:
    """Newest first, at most 1,000: one's own, or anybody's for those who may read identity."""
    username = params.username
    if "identity:read" not in read.permissions:
        if username not in (None, read.actor):
            raise Forbidden("You may list your own tokens only; leave username out.")
        username = read.actor
    return [TokenView(**row) for row in await read.pool.fetch(SELECT_TOKENS, username)]


async def get_me(read: Read, params: CallerKey) -> Me:
    """The caller's user, role, effective scope and permissions."""
    row = await read.pool.fetchrow(SELECT_CALLER, params.token_id, read.actor)
    if row is None:
        raise NotFound("Your token is not known any more.")
    return Me(**row, sites=list(read.sites), permissions=sorted(ROLES[row["role"]]))


TABLE = Table(
    commands={contract.issue_token: issue_token, contract.revoke_token: revoke_token},
    queries={
        contract.list_tokens: list_tokens,
        contract.expiring_tokens: expiring_tokens,
        me_contract.get_me: get_me,
    },
)
