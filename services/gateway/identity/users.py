"""Users: create, change, list, show. At least one active owner with the scope ``*`` always stays.

Rows with an owner are service accounts (`services.gateway.identity.accounts`), which are not shown here.
"""

from __future__ import annotations

from libs.common.contracts.base import MOST_ROWS
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway import users as contract
from libs.common.contracts.gateway.users import (
    ByRule,
    UserChanged,
    UserCreateSealed,
    UserFilter,
    UserKey,
    UserName,
    UserPatch,
    UserPatchSealed,
    UsersAfter,
    UserShown,
    UsersNamed,
    UserTold,
    UserView,
    user_changed,
    user_created,
)
from libs.common.contracts.granting import Granter
from libs.common.contracts.roles import KEEPER, ROLES
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Connection, Read, Table, Tx
from services.gateway.domain.granting import Reach
from services.gateway.domain.scope import ALL
from services.gateway.identity import session_ends, share_ends, token_ends
from services.gateway.identity.code_ends import end_code_of
from services.gateway.identity.guard import (
    granter_of,
    reach_of,
    require_above,
    require_below,
    require_given,
    require_revision,
)
from services.gateway.identity.powers import powers_of
from services.gateway.identity.sites import require_sites

COLUMNS = "username, role, sites, display_name, active, created_at, revision, own_permissions"
# Whether a caller may come in: an account only while its owner may.
WORKS = (
    """(users.active AND coalesce((SELECT active FROM users AS owners WHERE owners.username = users.owner), true))"""
)
INSERT_USER = f"""
INSERT INTO users (username, role, sites, display_name, active, created_at, own_permissions)
VALUES ($1, $2, $3, $4, true, $5, $6)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
# Every change of an owner locks all owners in one order, so that two owners can't demote each other at once.
LOCK_OWNERS = """
SELECT username FROM users WHERE role = 'owner' AND active AND '*' = ANY(sites) ORDER BY username FOR UPDATE
"""
LOCK_PERSON = f"SELECT {COLUMNS} FROM users WHERE username = $1 AND owner IS NULL FOR UPDATE"  # noqa: S608
_STATED = ("role", "sites", "display_name", "active", "own_permissions")
UPDATE_USER = f"""
UPDATE users SET role = $2, sites = $3, display_name = $4, active = $5, own_permissions = $6, revision = revision + 1
WHERE username = $1 RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
HAS_FACTOR = """
EXISTS (SELECT FROM second_factor WHERE second_factor.username = users.username AND confirmed_at IS NOT NULL)
"""
SELECT_USERS = f"""
SELECT {COLUMNS}, {HAS_FACTOR} AS second_factor FROM users
WHERE owner IS NULL AND username > coalesce($1::text, '') AND ($2::boolean IS NULL OR active = $2)
    AND ($3::text IS NULL OR strpos(lower(concat_ws(' ', username, display_name, role)), lower($3)) > 0)
ORDER BY username LIMIT $4
"""  # noqa: S608  only a constant of ours is put in
SELECT_SHOWN = f"""
SELECT {COLUMNS}, {HAS_FACTOR} AS second_factor FROM users WHERE username = $1 AND owner IS NULL
"""  # noqa: S608  only a constant of ours is put in
PAGE_USERS = f"""
SELECT {COLUMNS} FROM users WHERE username > $1 AND owner IS NULL ORDER BY username LIMIT $2
"""  # noqa: S608  only a constant of ours is put in
SELECT_NAMES = "SELECT username, display_name FROM users WHERE username = ANY ($1::text[]) ORDER BY username"
SELECT_USER = f"""
SELECT username, role, sites, display_name, {WORKS} AS active, created_at, revision, own_permissions, owner
FROM users WHERE username = $1
"""  # noqa: S608  only a constant of ours is put in
SELECT_OWN_ROLE = "SELECT permissions FROM own_role WHERE role = $1 AND removed_at IS NULL FOR SHARE"
COUNT_HOLDERS = "SELECT count(*) FROM users WHERE role = $1 AND own_permissions IS NOT NULL"
MOST_USERS = 1_000  # a change of a role is told of each of them


class LastOwner(Conflict):
    """Nobody could administer any more."""


async def create_user(tx: Tx, body: UserCreateSealed) -> UserView:
    """Make an active user without tokens; raises `Conflict` if the name is taken, `Invalid` for unknown sites.

    Raises `Forbidden` for a role or sites that the caller does not have.
    """
    sites = scope_of(body.sites)
    await require_sites(tx.connection, sites)
    held = await own_permissions_of(tx.connection, body.role)
    _require_given(await granter(tx, body), body.role, held, sites)
    row = await tx.connection.fetchrow(INSERT_USER, body.username, body.role, sites, body.display_name, tx.now, held)
    if row is None:
        raise Conflict(f"The user {body.username} exists already; change it with PATCH /api/users/{body.username}.")
    view = UserView(**row)
    tx.emit(user_created, UserTold(**view.model_dump()), subject=body.username)
    return view


async def patch_user(tx: Tx, body: UserPatchSealed) -> UserView:
    """Change what is given; who is not active any more loses all sessions, tokens and share links for good.

    Raises `LastOwner` where no active owner with all sites would be left, and `PreconditionFailed`.
    Raises `Forbidden` unless the caller holds all that the user holds, now and then.
    """
    return await change_user(tx, body, await granter(tx, body))


async def granter(tx: Tx, said: Granter) -> Reach:
    """What who gave the order may give now. Raises `Forbidden` if that is nobody any more."""
    actor = await acting_user(tx.connection, tx.actor)
    return granter_of(actor, await powers_of(tx.connection, tx.actor, tx.now), said)


async def change_user(tx: Tx, body: UserPatch, caller: Reach | None = None, by: ByRule | None = None) -> UserView:
    """The change; ``caller`` None: it is a rule's (``by``), whose author answered for it. Raises like `patch_user`."""
    owners = [row["username"] for row in await tx.connection.fetch(LOCK_OWNERS)]
    # The role before the person: who changes a role locks them in this order, too.
    new_held = None if body.role is None else await own_permissions_of(tx.connection, body.role)
    row = await tx.connection.fetchrow(LOCK_PERSON, body.username)
    if row is None:
        raise NotFound(f"There is no user {body.username}.")
    was = UserView(**row)
    require_revision(f"the user {body.username}", was.revision, body.if_revision)
    sites = was.sites if body.sites is None else scope_of(body.sites)
    if body.sites is not None:
        await require_sites(tx.connection, sites)
    role = was.role if body.role is None else body.role
    held = was.own_permissions if body.role is None else new_held
    if caller is not None:
        had = reach_of(was.role, was.own_permissions, was.sites)
        require_above(caller, had, body.username)
        require_below(caller, had, body.username)
        _require_given(caller, role, held, sites)
    name = was.display_name if body.display_name is None else body.display_name
    active = was.active if body.active is None else body.active
    if owners == [body.username] and not (role == "owner" and active and ALL in sites):
        raise LastOwner(f"{body.username} is the last active owner of all sites; make another owner first.")
    changed = await tx.connection.fetchrow(UPDATE_USER, body.username, role, sites, name, active, held)
    assert changed is not None  # noqa: S101  it is locked
    if was.active and not active and was.role != KEEPER:
        # Not suspended but ended: what somebody else may have got hold of does not come back with the person. The
        # keeper's token only rests: it is made of the cluster secret, and nobody could issue another.
        await token_ends.end_all_of(tx, [body.username], "user")
        await session_ends.end(tx, await session_ends.open_of(tx.connection, body.username), "user")
        await share_ends.end_all_of(tx, body.username)
        await end_code_of(tx, body.username)
    view = UserView(**changed)
    before, after = was.model_dump(include=set(_STATED)), view.model_dump(include=set(_STATED))
    changes = stated(before, after, masked=("display_name",))
    tx.emit(user_changed, UserChanged(**view.model_dump(), changes=changes, by=by), subject=body.username)
    return view


def _require_given(caller: Reach, role: str, held: list[str] | None, sites: list[str]) -> None:
    given = reach_of(role, held, sites)
    require_given(caller, given, f"the role {role}")
    require_below(caller, given, f"The role {role}")


async def list_users(read: Read, params: UserFilter) -> list[UserShown]:
    """Users by name, from behind the cursor on."""
    rows = await read.pool.fetch(SELECT_USERS, params.cursor, params.active, params.text, params.limit or MOST_ROWS)
    return [UserShown(**row) for row in rows]


async def page_users(read: Read, params: UsersAfter) -> list[UserView]:
    """The next users by name, all of them page by page."""
    return [UserView(**row) for row in await read.pool.fetch(PAGE_USERS, params.username, params.limit)]


async def name_users(read: Read, params: UsersNamed) -> list[UserName]:
    """The names that people read, of those of these users whom there are."""
    return [UserName(**row) for row in await read.pool.fetch(SELECT_NAMES, params.usernames)]


async def get_user(read: Read, params: UserKey) -> UserShown:
    """One user; raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_SHOWN, params.username)
    if row is None:
        raise NotFound(f"There is no user {params.username}.")
    return UserShown(**row)


async def acting_user(connection: Connection, username: str) -> UserView:
    """The user who gave the order, read afresh; raises `Forbidden` if it is gone or inactive by now."""
    row = await connection.fetchrow(SELECT_USER, username)
    if row is None or not row["active"]:
        raise Forbidden("Your user, or who answers for your account, is not active any more; ask an owner.")
    return UserView(**row)


async def own_permissions_of(connection: Connection, role: str) -> list[str] | None:
    """What a role of the installation's own holds, kept from changing until this is done; None: one of the table's.

    Raises `Invalid` if there is no such role, and `Conflict` if as many have it as may.
    """
    if role in ROLES:
        return None
    held: list[str] | None = await connection.fetchval(SELECT_OWN_ROLE, role)
    if held is None:
        raise Invalid(f"There is no role {role}; there are {', '.join(ROLES)}, and those of GET /api/roles.")
    if await connection.fetchval(COUNT_HOLDERS, role) >= MOST_USERS:
        raise Conflict(f"{MOST_USERS} users have the role {role}, which is all that may; make another role.")
    return held


def scope_of(sites: list[str]) -> list[str]:
    """Sorted without repeats; ``*`` swallows the rest. Raises `Invalid` when empty: such a user could do nothing."""
    if not sites:
        raise Invalid("sites must hold at least one site name, or * for all.")
    return [ALL] if ALL in sites else sorted(set(sites))


TABLE = Table(
    commands={contract.create_user: create_user, contract.patch_user: patch_user},
    queries={
        contract.list_users: list_users,
        contract.page_users: page_users,
        contract.name_users: name_users,
        contract.get_user: get_user,
    },
)
