"""Users: create, change, list, show. At least one active owner with the scope ``*`` always stays."""

from __future__ import annotations

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway import users as contract
from libs.common.contracts.gateway.users import (
    UserCreate,
    UserKey,
    UserPatch,
    UsersAfter,
    UserView,
    user_changed,
    user_created,
)
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Connection, Read, Table, Tx
from services.gateway.domain.scope import ALL
from services.gateway.sites import require_sites

COLUMNS = "username, role, sites, display_name, active, created_at, revision"
INSERT_USER = f"""
INSERT INTO users (username, role, sites, display_name, active, created_at) VALUES ($1, $2, $3, $4, true, $5)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
# Every change of an owner locks all owners in one order, so that two owners can't demote each other at once.
LOCK_OWNERS = """
SELECT username FROM users WHERE role = 'owner' AND active AND '*' = ANY(sites) ORDER BY username FOR UPDATE
"""
UPDATE_USER = f"""
UPDATE users SET role = coalesce($2, role), sites = coalesce($3, sites), display_name = coalesce($4, display_name),
    active = coalesce($5, active), revision = revision + 1
WHERE username = $1 RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
SELECT_USERS = f"SELECT {COLUMNS} FROM users ORDER BY username LIMIT 1000"  # noqa: S608  only a constant of ours
PAGE_USERS = f"SELECT {COLUMNS} FROM users WHERE username > $1 ORDER BY username LIMIT $2"  # noqa: S608  see above
SELECT_USER = f"SELECT {COLUMNS} FROM users WHERE username = $1"  # noqa: S608  only a constant of ours is put in


async def create_user(tx: Tx, body: UserCreate) -> UserView:
    """Make an active user without tokens; raises `Conflict` if the name is taken, `Invalid` for unknown sites."""
    sites = _scope(body.sites)
    await require_sites(tx.connection, sites)
    row = await tx.connection.fetchrow(INSERT_USER, body.username, body.role, sites, body.display_name, tx.now)
    if row is None:
        raise Conflict(f"The user {body.username} exists already; change it with PATCH /api/users/{body.username}.")
    view = UserView(**row)
    tx.emit(user_created, view, subject=body.username)
    return view


async def patch_user(tx: Tx, body: UserPatch) -> UserView:
    """Change what is given. Raises `Conflict` where no active owner with all sites would be left."""
    owners = [row["username"] for row in await tx.connection.fetch(LOCK_OWNERS)]
    sites = None if body.sites is None else _scope(body.sites)
    if sites is not None:
        await require_sites(tx.connection, sites)
    loses = body.role not in (None, "owner") or body.active is False or (sites is not None and ALL not in sites)
    if loses and owners == [body.username]:
        raise Conflict(f"{body.username} is the last active owner of all sites; make another owner first.")
    row = await tx.connection.fetchrow(UPDATE_USER, body.username, body.role, sites, body.display_name, body.active)
    if row is None:
        raise NotFound(f"There is no user {body.username}.")
    view = UserView(**row)
    tx.emit(user_changed, view, subject=body.username)
    return view


async def list_users(read: Read, _params: Nothing) -> list[UserView]:
    """All users by name, at most 1,000."""
    return [UserView(**row) for row in await read.pool.fetch(SELECT_USERS)]


async def page_users(read: Read, params: UsersAfter) -> list[UserView]:
    """The next users by name, all of them page by page."""
    return [UserView(**row) for row in await read.pool.fetch(PAGE_USERS, params.username, params.limit)]


async def get_user(read: Read, params: UserKey) -> UserView:
    """One user; raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_USER, params.username)
    if row is None:
        raise NotFound(f"There is no user {params.username}.")
    return UserView(**row)


async def acting_user(connection: Connection, username: str) -> UserView:
    """The user who gave the order, read afresh; raises `Forbidden` if it is gone or inactive by now."""
    row = await connection.fetchrow(SELECT_USER, username)
    if row is None or not row["active"]:
        raise Forbidden("Your user is not active any more; ask an owner.")
    return UserView(**row)


def _scope(sites: list[str]) -> list[str]:
    """Sorted without repeats; ``*`` swallows the rest. Raises `Invalid` when empty: such a user could do nothing."""
    if not sites:
        raise Invalid("sites must hold at least one site name, or * for all.")
    return [ALL] if ALL in sites else sorted(set(sites))


TABLE = Table(
    commands={contract.create_user: create_user, contract.patch_user: patch_user},
    queries={contract.list_users: list_users, contract.page_users: page_users, contract.get_user: get_user},
)
