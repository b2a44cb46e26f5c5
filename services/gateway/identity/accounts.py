"""Service accounts: create, change, list. They are rows of `users` that a person owns; see migration 0010.

An account may what its role, its token *and its owner* may, at each request: whoever leaves, or loses a role, keeps
nothing by a machine.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from libs.common.contracts.base import MOST_ROWS
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway import accounts as contract
from libs.common.contracts.gateway.accounts import (
    PREFIX,
    AccountChanged,
    AccountCreateSealed,
    AccountFilter,
    AccountKey,
    AccountPatchSealed,
    AccountTold,
    AccountView,
    account_changed,
    account_created,
)
from libs.common.contracts.granting import Granter
from libs.common.contracts.roles import PEOPLE_ONLY
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from services.gateway.domain.granting import Reach
from services.gateway.identity.guard import reach_of, require_given, require_revision
from services.gateway.identity.sites import require_sites
from services.gateway.identity.token_ends import end_all_of
from services.gateway.identity.users import SELECT_USER, granter, scope_of

INSERT_ACCOUNT = """
INSERT INTO users (username, role, sites, active, created_at, owner, purpose) VALUES ($1, $2, $3, true, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING username
"""
_STATED = ("owner", "role", "sites", "purpose", "active")
LOCK_ACCOUNT = f"""
SELECT {", ".join(_STATED)}, revision FROM users WHERE username = $1 AND owner IS NOT NULL FOR UPDATE
"""  # noqa: S608  names of our own
UPDATE_ACCOUNT = """
UPDATE users SET owner = coalesce($2, owner), role = coalesce($3, role), sites = coalesce($4, sites),
    purpose = coalesce($5, purpose), active = coalesce($6, active), revision = revision + 1
WHERE username = $1
"""
_SELECT = """
SELECT users.username AS actor, users.owner, users.role, users.sites, users.purpose, users.active, users.created_at,
    users.revision, NOT owners.active AS orphaned, used.live_token_count, used.last_used_at
FROM users JOIN users AS owners ON owners.username = users.owner CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE revoked_at IS NULL AND expires_at > $1) AS live_token_count,
        max(last_used_at) AS last_used_at
    FROM tokens WHERE tokens.username = users.username
) AS used
"""
SELECT_ACCOUNT = _SELECT + "WHERE users.username = $2"
SELECT_ACCOUNTS = (
    _SELECT
    + """
WHERE users.owner IS NOT NULL AND ($2::text IS NULL OR users.owner = $2) AND (NOT $3 OR NOT owners.active)
    AND users.username > 'account:' || coalesce($4::text, '') AND ($5::boolean IS NULL OR users.active = $5)
    AND ($6::text IS NULL
        OR strpos(lower(concat_ws(' ', users.username, users.purpose, users.owner, users.role)), lower($6)) > 0)
ORDER BY users.username LIMIT $7
"""
)


async def create_account(tx: Tx, body: AccountCreateSealed) -> AccountView:
    """Make an account without tokens. Raises `Conflict`, `NotFound` for the owner, and `Invalid` for unknown sites."""
    owner, sites = body.owner or tx.actor, scope_of(body.sites)
    await _require_owner(tx, owner)
    await require_sites(tx.connection, sites)
    await _require_held(tx, body, body.role, sites)
    actor = PREFIX + body.name
    if not await tx.connection.fetchval(INSERT_ACCOUNT, actor, body.role, sites, tx.now, owner, body.purpose):
        raise Conflict(
            f"The account {body.name} exists already; change it with PATCH /api/accounts/{body.name}, or take another "
            "name: names are not used twice."
        )
    view = await _view(tx.connection, tx.now, body.name)
    tx.emit(account_created, _told(view), subject=actor)
    return view


async def patch_account(tx: Tx, body: AccountPatchSealed) -> AccountView:
    """Change what is given; what is not active any more loses its tokens for good.

    A new owner takes over an orphaned account, but not its tokens unless that is said.

    Raises `NotFound`, `Conflict`, `Invalid`, `PreconditionFailed`.
    """
    actor = PREFIX + body.name
    before = await tx.connection.fetchrow(LOCK_ACCOUNT, actor)
    if before is None:
        raise NotFound(f"There is no account {body.name}.")
    require_revision(f"the account {body.name}", before["revision"], body.if_revision)
    if body.owner is not None:
        await _require_owner(tx, body.owner)
    sites = None if body.sites is None else scope_of(body.sites)
    if sites is not None:
        await require_sites(tx.connection, sites)
    await _require_held(tx, body, before["role"], before["sites"])
    await _require_held(tx, body, body.role or before["role"], before["sites"] if sites is None else sites)
    await tx.connection.execute(UPDATE_ACCOUNT, actor, body.owner, body.role, sites, body.purpose, body.active)
    if before["active"] and body.active is False:
        # Ended, as a person's are: whoever may have got hold of one does not come back with the account.
        await end_all_of(tx, [actor], "user")
    if body.owner not in (None, before["owner"]) and not body.keep_tokens:
        await end_all_of(tx, [actor], "owner")  # the owner before knows the secrets
    view = await _view(tx.connection, tx.now, body.name)
    told = _told(view)
    changes = stated(dict(before), told.model_dump(include=set(_STATED)))
    tx.emit(account_changed, AccountChanged(**told.model_dump(), changes=changes), subject=actor)
    return view


async def list_accounts(read: Read, params: AccountFilter) -> list[AccountView]:
    """Accounts by name, from behind the cursor on."""
    wanted = (params.owner, params.orphaned_only, params.cursor, params.active, params.text, params.limit or MOST_ROWS)
    rows = await read.pool.fetch(SELECT_ACCOUNTS, read.now, *wanted)
    return [_shown(row) for row in rows]


async def get_account(read: Read, params: AccountKey) -> AccountView:
    """One account; raises `NotFound`."""
    return await _view(read.pool, read.now, params.name)


async def _view(source: Any, now: Any, name: str) -> AccountView:
    row = await source.fetchrow(SELECT_ACCOUNT, now, PREFIX + name)
    if row is None:
        raise NotFound(f"There is no account {name}.")
    return _shown(row)


def _shown(row: asyncpg.Record) -> AccountView:
    return AccountView(**row, name=row["actor"].removeprefix(PREFIX))


def _told(view: AccountView) -> AccountTold:
    return AccountTold(**view.model_dump())


async def _require_owner(tx: Tx, owner: str) -> None:
    """Raises `Invalid` unless a person, and one who is active, would answer for the account."""
    row = await tx.connection.fetchrow(SELECT_USER, owner)
    if row is None or row["owner"] is not None or not row["active"]:
        raise Invalid(f"The owner of an account is an active user, which {owner} is not; name another one.")


async def _require_held(tx: Tx, said: Granter, role: str, sites: list[str]) -> None:
    """Raises `Forbidden` unless the caller holds all that an account of this role may at these sites."""
    reach = reach_of(role, None, sites)
    require_given(
        await granter(tx, said), Reach(reach.permissions - PEOPLE_ONLY, reach.sites), f"an account the role {role}"
    )


TABLE = Table(
    commands={contract.create_account: create_account, contract.patch_account: patch_account},
    queries={contract.list_accounts: list_accounts, contract.get_account: get_account},
)
