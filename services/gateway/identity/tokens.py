"""Tokens: issue, revoke, list; and who the caller is. A secret's SHA-256 is all that ever reaches this module."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from libs.common.contracts.gateway import me as me_contract
from libs.common.contracts.gateway import tokens as contract
from libs.common.contracts.gateway.accounts import PREFIX
from libs.common.contracts.gateway.me import CallerKey, Held, Me
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY, TokenPolicy
from libs.common.contracts.gateway.tokens import (
    Bounds,
    Expiring,
    ExpiryWanted,
    TokenFilter,
    TokenIssued,
    TokenRevoke,
    TokenRevoked,
    TokenRotateSealed,
    TokenSealed,
    TokensRevoked,
    TokensRevokeSealed,
    TokenView,
    token_issued,
    token_revoked,
    tokens_revoked,
)
from libs.common.contracts.roles import PEOPLE_ONLY, held_by, may
from libs.common.personal import MASK, may_read
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE, current
from services.gateway.domain.narrowing import ALWAYS, WHOLE, Narrowing, narrowing, network
from services.gateway.domain.scope import ALL, narrow, within
from services.gateway.identity import session_ends, token_ends
from services.gateway.identity.powers import powers_of
from services.gateway.identity.sites import require_sites
from services.gateway.identity.token_ends import end_tokens, require_working
from services.gateway.identity.users import WORKS, acting_user

USUAL_HOURS = 720
UNBOUND = (None, None, None)  # permissions, subjects, cidrs
NEEDS_ALL = "Tokens of other users need the site scope *, which your token does not have."

COLUMNS = """token_id, username, label, left(encode(secret_sha256, 'hex'), 16) AS fingerprint, sites, created_at,
    expires_at, revoked_at, last_used_at, last_used_address, revoked_reason, standing, rotated_to,
    permissions, subjects, cidrs, rule"""
# Two tokens that are issued at once to one user count one after the other.
LOCK_USER = f"""
SELECT username, role, sites, own_permissions, owner, {WORKS} AS active FROM users WHERE username = $1 FOR NO KEY UPDATE
"""  # noqa: S608  only a constant of ours is put in
LOCK_ACCOUNTS = "SELECT username FROM users WHERE owner = $1 ORDER BY username FOR NO KEY UPDATE"
SELECT_LIVE = """
SELECT token_id, username, sites, standing, permissions, subjects, cidrs FROM tokens
WHERE username = $1 AND revoked_at IS NULL AND expires_at > $2
    AND rotated_to IS NULL AND rule IS NULL
ORDER BY token_id
"""
INSERT_TOKEN = f"""
INSERT INTO tokens (secret_sha256, username, label, sites, created_at, idle_from, expires_at, standing, permissions,
    subjects, cidrs)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
LOCK_USER_OF = """
SELECT true FROM users WHERE username = (SELECT username FROM tokens WHERE token_id = $1) FOR NO KEY UPDATE
"""
LOCK_TOKEN = f"SELECT {COLUMNS} FROM tokens WHERE token_id = $1 FOR UPDATE"  # noqa: S608  only a constant of ours
SELECT_OWNER = "SELECT owner FROM users WHERE username = $1"
SELECT_TOKENS = f"""
SELECT {COLUMNS} FROM tokens
WHERE ($1::text IS NULL OR username = $1) AND (NOT $2 OR (revoked_at IS NULL AND expires_at > $3))
    AND ($4::text IS NULL OR username = $4 OR username IN (SELECT username FROM users WHERE owner = $4))
ORDER BY token_id DESC LIMIT 1000
"""  # noqa: S608  only a constant of ours is put in
SELECT_CALLER = """
SELECT users.username, users.role, users.sites AS user_sites, users.owner, tokens.token_id, tokens.expires_at,
    tokens.permissions, tokens.subjects, tokens.cidrs FROM tokens JOIN users USING (username)
WHERE tokens.token_id = $1 AND users.username = $2
"""
SELECT_CALLER_OF_SESSION = """
SELECT users.username, users.role, users.sites AS user_sites, users.owner, tokens.token_id,
    least(sessions.ends_at, tokens.expires_at) AS expires_at, tokens.permissions, tokens.subjects, tokens.cidrs
FROM sessions JOIN users USING (username) LEFT JOIN tokens ON tokens.token_id = sessions.token_id
WHERE sessions.session_id = $1 AND users.username = $2
"""


# Live ones only: what has expired already presses nobody any more, nor what is replaced already.
SELECT_EXPIRING = f"""
SELECT count(*) AS live_count, count(*) FILTER (WHERE expires_at <= $2) AS expiring_count,
    coalesce((array_agg(token_id ORDER BY expires_at) FILTER (WHERE expires_at <= $2))[:20], '{{}}') AS token_ids,
    min(expires_at) AS next_at
FROM tokens JOIN users USING (username)
WHERE revoked_at IS NULL AND expires_at > $1 AND {WORKS} AND rotated_to IS NULL AND rule IS NULL
"""  # noqa: S608  only a constant of ours is put in


async def expiring_tokens(read: Read, wanted: ExpiryWanted) -> Expiring:
    """Tokens that stop working within so many hours."""
    row = await read.pool.fetchrow(SELECT_EXPIRING, read.now, read.now + timedelta(hours=wanted.within_hours))
    assert row is not None  # noqa: S101 - a count has one row
    return Expiring(**dict(row))


async def issue_token(tx: Tx, body: TokenSealed) -> TokenIssued:
    """Store a token for oneself, for an account that one owns, or for others by those who may write identity and come
    with all sites.

    Its scope is what is asked for, what the caller has now and (at every use) what the user has: never more.
    """
    actor = await acting_user(tx.connection, tx.actor)
    username = body.username or actor.username
    caller = bounds_of(body.caller_bounds)
    user = await tx.connection.fetchrow(LOCK_USER, username)
    await require_working(tx, body)
    mine = username == actor.username or (user is not None and user["owner"] == actor.username)
    if not mine and not _may_administer(actor.role, caller):
        raise Forbidden(
            "You may issue tokens for yourself and for your accounts only; ask an owner to issue one for somebody else."
        )
    if not mine and ALL not in body.caller_sites:
        raise Forbidden(NEEDS_ALL)
    if user is None:
        raise NotFound(f"There is no user {username}.")
    if not user["active"]:
        raise Conflict(f"{username} is not active, or who answers for it is not.")
    if not body.sites:
        raise Invalid("sites must hold at least one site name, or * for all that the user has.")
    await require_sites(tx.connection, body.sites)
    reach = narrow(user["sites"], body.caller_sites)
    if ALL not in body.sites and not within(body.sites, reach):
        raise Forbidden(f"A token may only narrow the scope, which here is: {', '.join(reach) or 'no site'}.")
    policy = (await current(tx.connection, TOKEN_POLICY, EVERYWHERE)).content
    expires_at = tx.now + life_of(policy, body.expires_in_hours)
    bounds = _bounds_for(body, caller, user)
    if user["owner"] is not None:
        _require_narrow(bounds, held_by(actor.role, actor.own_permissions))
    await make_room(tx, policy, user, body)
    row = await tx.connection.fetchrow(
        INSERT_TOKEN,
        bytes.fromhex(body.secret_sha256),
        username,
        body.label,
        list(narrow(body.sites, body.caller_sites)),
        tx.now,
        expires_at,
        False,
        None if bounds.permissions is None else sorted(bounds.permissions),
        bounds.subjects,
        bounds.cidrs,
    )
    if row is None:
        raise Conflict("This secret is in use already; ask again.")
    tx.emit(token_issued, TokenView(**row), subject=str(row["token_id"]))
    return TokenIssued(**row)


def bounds_of(said: Bounds | asyncpg.Record) -> Narrowing:
    """What a token is bound to, of what the edge says or a row holds."""
    given = said.model_dump() if isinstance(said, Bounds) else said
    return narrowing(given["permissions"], given["subjects"], given["cidrs"])


def _may_administer(role: str, caller: Narrowing) -> bool:
    """Whether who came may act on the tokens of others."""
    return may(role, "identity:write") and caller.allows("identity:write")


def _bounds_for(body: TokenSealed, caller: Narrowing, user: asyncpg.Record) -> Narrowing:
    """What the new token is bound to: as asked for, and as the caller is where nothing is asked for.

    Raises `Invalid` for what is no network, or an operation that the role does not hold anyway; `Forbidden` for more
    than the caller has.
    """
    held = held_by(user["role"], user["own_permissions"])
    if body.permissions is not None and (idle := sorted(set(body.permissions) - held - ALWAYS)):
        its = ", ".join(sorted(held))
        raise Invalid(f"The role {user['role']} does not hold {', '.join(idle)}; it holds {its}.", permissions=idle)
    cidrs = None if body.cidrs is None else [_network(text) for text in body.cidrs]
    asked = narrowing(body.permissions, body.subjects, cidrs).bound_by(caller)
    if beyond := asked.reaches_beyond(caller):
        raise Forbidden(f"The new token would reach further than yours: {beyond}.")
    return asked


def _require_narrow(bounds: Narrowing, held: frozenset[str]) -> None:
    """What holds for tokens of accounts. Raises `Invalid` and `Forbidden`."""
    if bounds.permissions is None:
        raise Invalid("A token of an account names what it may: give permissions, such as signal:write.")
    if barred := sorted(bounds.permissions & PEOPLE_ONLY):
        raise Invalid(f"No account may {', '.join(barred)}: that takes a person.", permissions=barred)
    if beyond := sorted(bounds.permissions - held - ALWAYS):
        raise Forbidden(f"You may not {', '.join(beyond)} yourself, so you can't let an account.")


def _network(text: str) -> str:
    try:
        return network(text)
    except ValueError as error:
        raise Invalid(f"cidrs: {error}; write a network as 10.1.0.0/16 or 2001:db8::/32.") from None


def life_of(policy: TokenPolicy, hours: int | None) -> timedelta:
    """How long a new token works. Raises `Invalid` for more than the policy allows."""
    longest = policy.max_ttl_days * 24
    if hours is not None and hours > longest:
        raise Invalid(
            f"A token may live {policy.max_ttl_days} days at the most (max_ttl_days of the policy of tokens); give "
            f"expires_in_hours of {longest} or less.",
            max_ttl_days=policy.max_ttl_days,
        )
    return timedelta(hours=min(USUAL_HOURS, longest) if hours is None else hours)


async def make_room(tx: Tx, policy: TokenPolicy, user: asyncpg.Record, body: TokenSealed) -> None:
    """Revoke the user's oldest tokens, so that one more is within the quota.

    Only what the caller could revoke by hand goes, and never the token in use: else whoever gets hold of a narrow token
    could push out the wide ones. Raises `Conflict` where that is too little.
    """
    live = await tx.connection.fetch(SELECT_LIVE, user["username"], tx.now)
    excess = len(live) + 1 - policy.max_active_per_user
    if excess <= 0:
        return
    caller = bounds_of(body.caller_bounds)
    going = [
        row["token_id"]
        for row in live
        if not row["standing"]
        and row["token_id"] != body.caller_token_id
        and within(narrow(user["sites"], row["sites"]), body.caller_sites)
        and bounds_of(row).reaches_beyond(caller) is None
    ]
    if len(going) < excess:
        raise Conflict(
            f"{user['username']} has {len(live)} live tokens, {policy.max_active_per_user} are allowed, and your token "
            "may not end the oldest; revoke some with a wider one first."
        )
    await end_tokens(tx, going[:excess], "quota")


async def reachable(tx: Tx, token_id: int, body: TokenRevoke | TokenRotateSealed) -> asyncpg.Record:
    """The token, locked, if the caller may end or replace it. Raises `NotFound` and `Forbidden`."""
    actor, caller = await acting_user(tx.connection, tx.actor), bounds_of(body.caller_bounds)
    # The user first, like all who end tokens: a successor that is made while all are revoked would be overlooked.
    await tx.connection.execute(LOCK_USER_OF, token_id)
    row = await tx.connection.fetchrow(LOCK_TOKEN, token_id)
    mine = row is not None and await _is_mine(tx, row["username"], actor.username)
    if row is None or not (mine or _may_administer(actor.role, caller)):
        raise NotFound(f"You have no token {token_id}.")
    if not mine and ALL not in body.caller_sites:
        raise Forbidden(NEEDS_ALL)
    # What the token reaches now, as at every use: its own sites and its user's.
    if not within(narrow(actor.sites, row["sites"]), body.caller_sites):
        raise Forbidden(f"The token {token_id} reaches more sites than yours; come with a wider one.")
    if beyond := bounds_of(row).reaches_beyond(caller):
        raise Forbidden(f"The token {token_id} reaches further than yours: {beyond}. Come with a wider one.")
    return row


async def _is_mine(tx: Tx, username: str, actor: str) -> bool:
    """Whether it is the actor, or an account that the actor answers for."""
    return username == actor or await tx.connection.fetchval(SELECT_OWNER, username) == actor


async def revoke_token(tx: Tx, body: TokenRevoke) -> TokenView:
    """Revoke one's own token, or anybody's by those who may write identity; others get `NotFound`.

    Raises `Forbidden` where the caller's scope is narrower than the token's, or not ``*`` for somebody else's token.
    """
    row = await reachable(tx, body.token_id, body)
    if not await end_tokens(tx, [body.token_id], "asked"):
        # It is told again: whoever revokes a token that still seems to work gets it out of every memory.
        tx.emit(
            token_revoked, TokenRevoked(token_id=body.token_id, username=row["username"]), subject=str(body.token_id)
        )
        return TokenView(**row)
    return TokenView(**{**row, "revoked_at": tx.now, "revoked_reason": "asked"})


async def revoke_tokens(tx: Tx, body: TokensRevokeSealed) -> TokensRevoked:
    """Revoke all of one's own tokens and end all sessions, or all of anybody by those who may write identity and come
    with all sites.

    The tokens of the user's accounts go, too, unless they are to stay: whoever has a person's token may have made one.
    A caller whose token reaches less than the user is refused: what is left out would look as if it were gone.
    """
    actor = await acting_user(tx.connection, tx.actor)
    caller = bounds_of(body.caller_bounds)
    user = await tx.connection.fetchrow(LOCK_USER, body.username)
    mine = body.username == actor.username or (user is not None and user["owner"] == actor.username)
    if not mine and not _may_administer(actor.role, caller):
        raise NotFound(f"You may revoke tokens of yourself and your accounts only; {body.username} is somebody else.")
    if user is None:
        raise NotFound(f"There is no user {body.username}.")
    reach = user["sites"] if mine else [ALL]
    if caller != WHOLE or not within(reach, body.caller_sites):
        raise Forbidden("Your token reaches less than those to be revoked; come with a wider one.")
    accounts: list[str] = []
    if not body.keep_accounts:
        accounts = [row["username"] for row in await tx.connection.fetch(LOCK_ACCOUNTS, body.username)]
    kept, kept_session = (body.caller_token_id, body.caller_session_id) if body.keep_current else (None, None)
    ended = await token_ends.end_all_of(tx, [body.username, *accounts], "asked", kept)
    sessions = await session_ends.end_all_of(tx, body.username, kept_session)
    result = TokensRevoked(
        username=body.username,
        token_ids=[one.token_id for one in ended],
        session_ids=sessions.session_ids,
        accounts=sorted({one.username for one in ended} - {body.username}),
    )
    tx.emit(tokens_revoked, result, subject=body.username)
    return result


async def list_tokens(read: Read, params: TokenFilter) -> list[TokenView]:
    """Newest first, at most 1,000: one's own, or anybody's for those who may read identity."""
    mine_of = None if "identity:read" in read.permissions else read.actor
    if mine_of is not None and params.username not in (None, mine_of) and not params.username.startswith(PREFIX):
        raise Forbidden("You may list your own tokens and your accounts' only; leave username out.")
    rows = await read.pool.fetch(SELECT_TOKENS, params.username, params.active_only, read.now, mine_of)
    return [_for_reader(TokenView(**row), read) for row in rows]


def _for_reader(token: TokenView, read: Read) -> TokenView:
    machine = token.username.startswith(PREFIX)
    if token.last_used_address is None or machine or may_read(read.permissions, read.actor, token.username):
        return token
    return token.model_copy(update={"last_used_address": MASK})


async def get_me(read: Read, params: CallerKey) -> Me:
    """The caller's user, role, effective scope and permissions."""
    statement, number = SELECT_CALLER, params.token_id
    if params.session_id is not None:
        statement, number = SELECT_CALLER_OF_SESSION, params.session_id
    row = await read.pool.fetchrow(statement, number, read.actor)
    if row is None:
        raise NotFound("Your token or session is not known any more.")
    given = {name: row[name] for name in ("username", "role", "token_id", "expires_at", "subjects", "cidrs")}
    narrowed = bounds_of(row) != WHOLE or not within(row["user_sites"], read.sites)
    given["owner"], given["session_id"] = row["owner"], params.session_id
    grants = [
        Held(
            source=one.source,
            role=one.role,
            sites=list(one.sites),
            permissions=sorted(one.permissions),
            ends_at=one.ends_at,
        )
        for one in await powers_of(read.pool, read.actor, read.now)
    ]
    given |= {"sites": list(read.sites), "permissions": sorted(read.permissions), "narrowed": narrowed}
    return Me(**given, grants=grants, powers=params.powers)


TABLE = Table(
    commands={
        contract.issue_token: issue_token,
        contract.revoke_token: revoke_token,
        contract.revoke_tokens: revoke_tokens,
    },
    queries={
        contract.list_tokens: list_tokens,
        contract.expiring_tokens: expiring_tokens,
        me_contract.get_me: get_me,
    },
)
