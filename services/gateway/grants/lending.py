"""Grants: give, end, list; and the job that tells of their end.

Nobody holds a grant whose time is over, whether or not the job has come by: the edge compares with its clock at each
request. Crash here means nothing: the job looks again.
"""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from libs.common.contracts.changes import FieldChange, newly
from libs.common.contracts.gateway import grants as contract
from libs.common.contracts.gateway.grants import (
    MAX_DAYS,
    MAX_OF_USER,
    Ending,
    GrantEnded,
    GrantFilter,
    GrantGiveSealed,
    GrantKeySealed,
    GrantView,
    grant_ended,
    grant_ending,
    grant_given,
)
from libs.common.contracts.roles import KEEPER
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from services.gateway.domain.powers import warns_at
from services.gateway.grants.telling import tell_users
from services.gateway.identity.guard import reach_of, require_above, require_below, require_given
from services.gateway.identity.sites import require_sites
from services.gateway.identity.users import LOCK_PERSON, granter, own_permissions_of, scope_of

NOT_LENT = frozenset({"owner", KEEPER})
AT_A_TIME = 500
COLUMNS = """grant_id, username, role, sites, ends_at, reason, given_by, given_at, ended_at, ended_by, ended_reason"""
INSERT_GRANT = f"""
INSERT INTO role_grant (username, role, sites, ends_at, reason, given_by, given_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
COUNT_LIVE = "SELECT count(*) FROM role_grant WHERE username = $1 AND ended_at IS NULL"
LOCK_GRANT = f"SELECT {COLUMNS} FROM role_grant WHERE grant_id = $1 FOR UPDATE"  # noqa: S608  a constant of ours
SELECT_GRANTS = f"""
SELECT {COLUMNS} FROM role_grant
WHERE ($1::text IS NULL OR username = $1) AND (NOT $2 OR (ended_at IS NULL AND ends_at > $3))
ORDER BY grant_id DESC LIMIT 1000
"""  # noqa: S608  only a constant of ours is put in
LOCK_DUE = f"""
SELECT {COLUMNS} FROM role_grant WHERE ended_at IS NULL AND ends_at <= $1 ORDER BY ends_at, grant_id LIMIT $2
FOR UPDATE SKIP LOCKED
"""  # noqa: S608  only a constant of ours is put in
LOCK_ENDING = f"""
SELECT {COLUMNS} FROM role_grant WHERE ended_at IS NULL AND warned_at IS NULL AND ends_at > $1 AND ends_at <= $2
ORDER BY ends_at, grant_id LIMIT $3 FOR UPDATE SKIP LOCKED
"""  # noqa: S608  only a constant of ours is put in
MARK_WARNED = "UPDATE role_grant SET warned_at = $2 WHERE grant_id = ANY ($1::bigint[])"
MARK_ENDED = f"""
UPDATE role_grant SET ended_at = $2, ended_by = $3, ended_reason = $4 WHERE grant_id = $1 RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
SELECT_ROLE = "SELECT permissions FROM own_role WHERE role = $1"


async def give_grant(tx: Tx, body: GrantGiveSealed) -> GrantView:
    """Store a grant, which counts at once. Raises `NotFound`, `Invalid`, `Conflict`.

    Raises `Forbidden` for what the caller does not hold, and for users who hold more, or are not below.
    """
    if body.role in NOT_LENT:
        raise Invalid(f"The role {body.role} is not given for a while; a user has it, or has it not.")
    if not tx.now < body.ends_at <= tx.now + timedelta(days=MAX_DAYS):
        raise Invalid(f"ends_at must be in the future, and at most {MAX_DAYS} days from now.")
    sites = scope_of(body.sites)
    await require_sites(tx.connection, sites)
    # The role before the person: who changes a role locks them in this order, too.
    held = await own_permissions_of(tx.connection, body.role)
    person = await tx.connection.fetchrow(LOCK_PERSON, body.username)
    if person is None:
        raise NotFound(f"There is no user {body.username}.")
    if not person["active"]:
        raise Conflict(f"The user {body.username} is not active.")
    caller = await granter(tx, body)
    theirs = reach_of(person["role"], person["own_permissions"], person["sites"])
    require_above(caller, theirs, body.username)
    require_below(caller, theirs, body.username)
    given = reach_of(body.role, held, sites)
    require_given(caller, given, f"the role {body.role}")
    require_below(caller, given, f"The role {body.role}")
    if await tx.connection.fetchval(COUNT_LIVE, body.username) >= MAX_OF_USER:
        raise Conflict(f"{body.username} has {MAX_OF_USER} grants, which is all that one may; end one first.")
    values = (body.username, body.role, sites, body.ends_at, body.reason, tx.actor, tx.now)
    row = await tx.connection.fetchrow(INSERT_GRANT, *values)
    assert row is not None  # noqa: S101  it was inserted
    view = GrantView(**row)
    tx.emit(grant_given, view, subject=str(view.grant_id))
    await tell_users(tx, [view.username], FieldChange(field="grants", after=view.grant_id))
    return view


async def end_grant(tx: Tx, body: GrantKeySealed) -> GrantView:
    """End a grant early, by who could give it. Raises `NotFound`, `Forbidden`, `Conflict` if it is over."""
    row = await tx.connection.fetchrow(LOCK_GRANT, body.grant_id)
    if row is None:
        raise NotFound(f"There is no grant {body.grant_id}; GET /api/grants lists them.")
    if row["ended_at"] is not None or row["ends_at"] <= tx.now:
        raise Conflict(f"The grant {body.grant_id} has ended already.")
    own = await tx.connection.fetchval(SELECT_ROLE, row["role"])
    given = reach_of(row["role"], own, row["sites"])
    require_given(await granter(tx, body), given, f"or take the role {row['role']}")
    return await _end(tx, row, "asked")


async def list_grants(read: Read, params: GrantFilter) -> list[GrantView]:
    """Newest first, at most 1,000."""
    rows = await read.pool.fetch(SELECT_GRANTS, params.username, params.live_only, read.now)
    return [GrantView(**row) for row in rows]


async def watch(tx: Tx) -> JobDone | None:
    """Tell of grants that end soon, each once, and of those whose time is over."""
    over = await tx.connection.fetch(LOCK_DUE, tx.now, AT_A_TIME)
    for row in over:
        await _end(tx, row, "over")
    rows = await tx.connection.fetch(LOCK_ENDING, tx.now, tx.now + timedelta(hours=24), AT_A_TIME)
    soon = [GrantView(**row) for row in rows if warns_at(row["given_at"], row["ends_at"]) <= tx.now]
    for view in soon:
        tx.emit(grant_ending, view, subject=str(view.grant_id))
    if soon:
        await tx.connection.execute(MARK_WARNED, [view.grant_id for view in soon], tx.now)
    return JobDone(detail={"ended_count": len(over), "ending_count": len(soon)}) if over or soon else None


async def _end(tx: Tx, grant: asyncpg.Record, why: Ending) -> GrantView:
    row = await tx.connection.fetchrow(MARK_ENDED, grant["grant_id"], tx.now, tx.actor, why)
    assert row is not None  # noqa: S101  it is locked
    view = GrantView(**row)
    told = GrantEnded(**view.model_dump(), changes=newly(view, "ended_at", "ended_by", "ended_reason"))
    tx.emit(grant_ended, told, subject=str(view.grant_id))
    await tell_users(tx, [view.username], FieldChange(field="grants", before=view.grant_id))
    return view


TABLE = Table(
    commands={contract.give_grant: give_grant, contract.end_grant: end_grant},
    queries={contract.list_grants: list_grants},
    jobs=(Job("grant_watch", Schedule("* * * * *"), watch, looks=True),),
)
