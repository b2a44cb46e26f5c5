"""Who may do what, and why: the answers of ``GET /api/permissions/check``.

It is judged with what the database holds now, by the same tables as the edge uses; a sweep test compares the two.
"""

from __future__ import annotations

from difflib import get_close_matches

import asyncpg

from libs.common.contracts import CONTRACTS, find
from libs.common.contracts.base import Command, Event, Operation
from libs.common.contracts.gateway import rights as contract
from libs.common.contracts.gateway.rights import PermissionAnswer, PermissionCheck, Reason
from libs.common.contracts.roles import PEOPLE_ONLY, ROLES, SELF_SERVICE, WITHIN_SITES, held_by
from libs.common.problems import Forbidden, Invalid, NotFound
from libs.common.service import Read, Table
from services.gateway.access import NAMES_NO_SUBJECT, WITH_SUBJECTS
from services.gateway.domain.powers import live
from services.gateway.domain.rights import Caller, Deed, Finding, Power, judge
from services.gateway.domain.scope import ALL, RESERVED_SITE, covers
from services.gateway.identity.powers import POWERS, powers_in
from services.gateway.identity.sites import SELECT_UNKNOWN
from services.gateway.identity.tokens import bounds_of

SELECT_HOLDER = f"""
SELECT users.username, users.role, users.sites, users.active, users.owner, users.own_permissions,
    {POWERS},
    owners.role AS owner_role, owners.own_permissions AS owner_permissions, owners.sites AS owner_sites,
    owners.active AS owner_active
FROM users LEFT JOIN users AS owners ON owners.username = users.owner WHERE users.username = $1
"""  # noqa: S608  only a constant of ours is put in
SELECT_TOKEN = "SELECT sites, permissions, subjects, cidrs FROM tokens WHERE token_id = $1 AND username = $2"  # noqa: S105


async def check_permission(read: Read, params: PermissionCheck) -> PermissionAnswer:
    """Whether it is allowed, and each reason.

    Of others than oneself and one's accounts only who may read identity asks, and about one's own sites only. Raises
    `Forbidden`, `NotFound` and `Invalid`.
    """
    username = params.username or read.actor
    row = await read.pool.fetchrow(SELECT_HOLDER, username)
    itself = username == read.actor
    of_another = not itself and (row is None or row["owner"] != read.actor)
    if of_another and "identity:read" not in read.permissions:
        raise Forbidden("You may ask about yourself and your accounts only; leave username out.")
    if row is None:
        raise NotFound(f"There is no user {username}.")
    operation = None if "." not in params.permission else _operation(params.permission)
    deed = deed_of(operation, params.permission, params.site, params.subject)
    if of_another and deed.site is not None and not covers(read.sites, deed.site):
        raise Forbidden(
            f"The site {deed.site} is not in your scope, so you can't ask about others there; name another."
        )
    if deed.site is not None and covers(read.sites, deed.site) and await read.pool.fetch(SELECT_UNKNOWN, [deed.site]):
        raise NotFound(f"There is no site {deed.site}; GET /api/sites lists them.")
    token = await read.pool.fetchrow(SELECT_TOKEN, params.token_id, username) if itself else None
    found = [*_activity(row), *judge(_caller(row, token, read, itself), deed)]
    against = [one for one in found if not one.allowed]
    return PermissionAnswer(
        username=username,
        permission=deed.permission,
        operation=operation.name if operation else None,
        site=deed.site,
        subject=params.subject,
        token_id=params.token_id if token else None,
        allowed=not against,
        because=(against or found)[0].text,
        reasons=[Reason(by=one.by, allowed=one.allowed, text=one.text) for one in found],  # type: ignore[arg-type]
    )


def deed_of(operation: Operation | None, permission: str, site: str | None, subject: str | None) -> Deed:
    """What an operation, or any with a permission, would do. Raises `Invalid` for a permission that there is not."""
    if operation is not None:
        permission = operation.permission
    every = {name for held in ROLES.values() for name in held}
    if permission not in every:
        near = get_close_matches(permission, sorted(every), n=3, cutoff=0.4)
        hint = f"; do you mean {' or '.join(near)}?" if near else "; docs/reference/permissions.md lists them."
        raise Invalid(f"There is no permission {permission}{hint}")
    able = [operation] if operation is not None else _operations_with(permission)
    # Of a permission alone the strictest is told: what else it opens is asked by the operation.
    everywhere = any(_needs_all(one) for one in able)
    sited = not everywhere and (any(one.sited for one in able) or (not able and site is not None))
    return Deed(
        permission=permission,
        site=(site or RESERVED_SITE) if sited else None,
        everywhere=everywhere,
        takes_person=permission in PEOPLE_ONLY,
        about_subjects=None if permission in NAMES_NO_SUBJECT else any(_names_subject(one) for one in able),
        subject=subject,
        able_roles=tuple(role for role, held in ROLES.items() if permission in held),
    )


def _operation(name: str) -> Operation:
    found = find(name)
    if found is None or isinstance(found, Event) or found.http is None:
        raise Invalid(f"There is no operation {name}; `headgate operations` lists them.")
    return found


def _operations_with(permission: str) -> list[Operation]:
    return [one for c in CONTRACTS.values() for one in c.operations() if one.http and one.permission == permission]


def _needs_all(operation: Operation) -> bool:
    within = SELF_SERVICE | WITHIN_SITES
    return isinstance(operation, Command) and not operation.sited and operation.permission not in within


def _names_subject(operation: Operation) -> bool:
    said = operation.body if isinstance(operation, Command) else operation.params
    names_object = operation.http is not None and operation.http.names_object
    return operation.service in WITH_SUBJECTS and not names_object and "subject" in said.model_fields


def _caller(row: asyncpg.Record, token: asyncpg.Record | None, read: Read, itself: bool) -> Caller:
    owned = row["owner"] is not None
    return Caller(
        name=row["username"],
        powers=(
            Power(row["role"], held_by(row["role"], row["own_permissions"]), tuple(row["sites"])),
            *live(powers_in(row["powers"]), read.now),
        ),
        owner=row["owner"],
        owner_powers=(_power_of_owner(row),) if owned else (),
        token=None if token is None else bounds_of(token),
        token_sites=(ALL,) if token is None else tuple(token["sites"]),
        shown_sites=(ALL,) if itself else read.sites,
    )


def _power_of_owner(row: asyncpg.Record) -> Power:
    return Power(row["owner_role"], held_by(row["owner_role"], row["owner_permissions"]), tuple(row["owner_sites"]))


def _activity(row: asyncpg.Record) -> list[Finding]:
    """Only what bars everything is told."""
    if not row["active"]:
        return [Finding("user", False, f"{row['username']} is not active, so none of its tokens works.")]
    if row["owner"] is not None and not row["owner_active"]:
        return [Finding("owner", False, f"{row['owner']}, who answers for it, is not active, so no token works.")]
    return []


TABLE = Table(queries={contract.check_permission: check_permission})
