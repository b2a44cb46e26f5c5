"""Roles of the installation's own: create, change, remove, list.

What such a role holds is copied to each user who has it, in the transaction that changes it; so a lookup of a user
needs no other table, and who hears of users hears what they may.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import stated, told_of
from libs.common.contracts.gateway import roles as contract
from libs.common.contracts.gateway.roles import (
    RoleChanged,
    RoleCreateSealed,
    RoleKey,
    RoleKeySealed,
    RolePatchSealed,
    RoleTold,
    RoleView,
    role_changed,
    role_created,
    role_removed,
)
from libs.common.contracts.gateway.sign_in import SIGN_IN
from libs.common.contracts.gateway.users import UserChanged, UserView, user_changed
from libs.common.contracts.roles import OWNERS_ONLY, ROLES, held_by
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE, current
from services.gateway.identity.guard import require_revision
from services.gateway.identity.users import COLUMNS, acting_user

# Roles that callers without a user have at the edge: nobody's name may look like one of these.
RESERVED = frozenset(ROLES) | {"link", "webhook", "federated", "account", "service", "nobody"}
_TOLD = "role, purpose, permissions, created_at, revision"
INSERT_ROLE = f"""
INSERT INTO own_role (role, purpose, permissions, created_at, created_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING {_TOLD}
"""  # noqa: S608  only a constant of ours is put in
LOCK_ROLE = f"SELECT {_TOLD} FROM own_role WHERE role = $1 AND removed_at IS NULL FOR UPDATE"  # noqa: S608
UPDATE_ROLE = f"""
UPDATE own_role SET purpose = $2, permissions = $3, revision = revision + 1 WHERE role = $1 RETURNING {_TOLD}
"""  # noqa: S608  only a constant of ours is put in
MARK_REMOVED = "UPDATE own_role SET removed_at = $2 WHERE role = $1"
GIVE_ANEW = f"""
UPDATE users SET own_permissions = $2, revision = revision + 1
WHERE username IN (
    SELECT username FROM users WHERE role = $1 AND own_permissions IS NOT NULL ORDER BY username FOR UPDATE
) RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
SELECT_HOLDERS = """
SELECT username FROM users WHERE role = $1 AND own_permissions IS NOT NULL ORDER BY username LIMIT 1001
"""
SELECT_OWN = f"SELECT {_TOLD} FROM own_role WHERE removed_at IS NULL ORDER BY role LIMIT 1000"  # noqa: S608
SELECT_ONE = f"SELECT {_TOLD} FROM own_role WHERE role = $1 AND removed_at IS NULL"  # noqa: S608
COUNT_GRANTS = "SELECT count(*) FROM role_grant WHERE role = $1 AND ended_at IS NULL"
SELECT_TEAMS = "SELECT team FROM team_role WHERE role = $1 ORDER BY team LIMIT 50"
COUNT_USERS = "SELECT role, count(*) AS user_count FROM users GROUP BY role"


async def create_role(tx: Tx, body: RoleCreateSealed) -> RoleView:
    """Make a role that nobody has yet. Raises `Conflict`, `Invalid`, and `Forbidden` for what the caller lacks."""
    if body.role in RESERVED:
        raise Conflict(f"{body.role} is a name of Headgate's own; take another one.")
    await _require_held(tx, body.permissions, body.caller_permissions)
    permissions = _grantable(body.permissions)
    row = await tx.connection.fetchrow(INSERT_ROLE, body.role, body.purpose, permissions, tx.now, tx.actor)
    if row is None:
        raise Conflict(
            f"There is or was a role {body.role}; change it with PATCH /api/roles/{body.role}, or take another name: "
            "names are not used twice."
        )
    tx.emit(role_created, RoleTold(**row), subject=body.role)
    return _own(row, 0)


async def patch_role(tx: Tx, body: RolePatchSealed) -> RoleView:
    """Change what is given, for all who have the role.

    Raises `NotFound`, `Invalid`, `Forbidden` and `PreconditionFailed`.
    """
    before = await _locked(tx, body)
    require_revision(f"the role {body.role}", before["revision"], body.if_revision)
    await _require_held(tx, {*before["permissions"], *(body.permissions or ())}, body.caller_permissions)
    permissions = before["permissions"] if body.permissions is None else _grantable(body.permissions)
    row = await tx.connection.fetchrow(UPDATE_ROLE, body.role, body.purpose or before["purpose"], permissions)
    assert row is not None  # noqa: S101  it is locked
    told = told_of(RoleChanged, RoleTold(**row), dict(before), unstated=("revision",))
    tx.emit(role_changed, told, subject=body.role)
    if permissions == before["permissions"]:
        return _own(row, len(await tx.connection.fetch(SELECT_HOLDERS, body.role)))
    users = await tx.connection.fetch(GIVE_ANEW, body.role, permissions)
    changes = stated({"own_permissions": before["permissions"]}, {"own_permissions": permissions})
    for user in users:
        view = UserView(**user)
        tx.emit(user_changed, UserChanged(**view.model_dump(), changes=changes), subject=view.username)
    return _own(row, len(users))


async def remove_role(tx: Tx, body: RoleKeySealed) -> RoleView:
    """Remove a role. Raises `NotFound`, `Forbidden`, and `Conflict` naming who has it, or which rules give it."""
    row = await _locked(tx, body)
    await _require_held(tx, row["permissions"], body.caller_permissions)
    holders = [one["username"] for one in await tx.connection.fetch(SELECT_HOLDERS, body.role)]
    if holders:
        more = f" and {len(holders) - 50} more" if len(holders) > 50 else ""
        raise Conflict(
            f"The role {body.role} is held by {', '.join(holders[:50])}{more}; give them another one first.",
            usernames=holders[:50],
        )
    if (count := await tx.connection.fetchval(COUNT_GRANTS, body.role)) > 0:
        raise Conflict(f"The role {body.role} is held by {count} grants (GET /api/grants); end them first.")
    if teams := [row["team"] for row in await tx.connection.fetch(SELECT_TEAMS, body.role)]:
        raise Conflict(f"The role {body.role} is held by the teams {', '.join(teams)}; give them another one first.")
    rules = (await current(tx.connection, SIGN_IN, EVERYWHERE)).content.rules
    if naming := [rule.name for rule in rules if rule.role == body.role]:
        raise Conflict(
            f"People get the role {body.role} by the sign-in rules {', '.join(naming[:50])}; publish others first."
        )
    await tx.connection.execute(MARK_REMOVED, body.role, tx.now)
    tx.emit(role_removed, RoleTold(**row), subject=body.role)
    return _own(row, 0)


async def list_roles(read: Read, _params: Nothing) -> list[RoleView]:
    """Those that are always there, then those of the installation's own by name."""
    counts = {row["role"]: row["user_count"] for row in await read.pool.fetch(COUNT_USERS)}
    own = [_own(row, counts.get(row["role"], 0)) for row in await read.pool.fetch(SELECT_OWN)]
    return [*(_built_in(role, counts.get(role, 0)) for role in ROLES), *own]


async def get_role(read: Read, params: RoleKey) -> RoleView:
    """One role; raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_ONE, params.role)
    if row is None and params.role not in ROLES:
        raise NotFound(f"There is no role {params.role}; GET /api/roles lists them.")
    counts = {one["role"]: one["user_count"] for one in await read.pool.fetch(COUNT_USERS)}
    count = counts.get(params.role, 0)
    return _built_in(params.role, count) if row is None else _own(row, count)


async def _locked(tx: Tx, body: RoleKey) -> asyncpg.Record:
    if body.role in ROLES:
        raise Conflict(f"The role {body.role} is always there as it is; make one of your own.")
    row = await tx.connection.fetchrow(LOCK_ROLE, body.role)
    if row is None:
        raise NotFound(f"There is no role {body.role}; GET /api/roles lists them.")
    return row


async def _require_held(tx: Tx, permissions: Iterable[str], caller: Iterable[str]) -> None:
    """Nobody gives what they lack: neither their role as it is now, nor the token that they came with."""
    actor = await acting_user(tx.connection, tx.actor)
    held = held_by(actor.role, actor.own_permissions) & frozenset(caller)
    if beyond := sorted(set(permissions) & ROLES["owner"] - held):
        raise Forbidden(f"You may not {', '.join(beyond)} yourself, so you can't let others.", permissions=beyond)


def _grantable(permissions: Iterable[str]) -> list[str]:
    """Sorted without repeats. Raises `Invalid` for what there is not, and for what stays with owners."""
    wanted = sorted(set(permissions))
    if unknown := sorted(set(wanted) - ROLES["owner"]):
        raise Invalid(f"There is no permission {', '.join(unknown)}; GET /api/roles lists them.", permissions=unknown)
    if barred := sorted(set(wanted) & OWNERS_ONLY):
        raise Invalid(f"{', '.join(barred)} stays with owners: who has it could make oneself one.", permissions=barred)
    return wanted


def _own(row: asyncpg.Record, user_count: int) -> RoleView:
    return RoleView(**row, built_in=False, user_count=user_count)


def _built_in(role: str, user_count: int) -> RoleView:
    held = sorted(ROLES[role])
    return RoleView(role=role, purpose="", permissions=held, built_in=True, user_count=user_count)


TABLE = Table(
    commands={
        contract.create_role: create_role,
        contract.patch_role: patch_role,
        contract.remove_role: remove_role,
    },
    queries={contract.list_roles: list_roles, contract.get_role: get_role},
)
