"""Teams: create, change, remove, list. What a member holds by them is read from the rows at each look (`held_power`).

Crash here means nothing: a change is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import FieldChange, told_of
from libs.common.contracts.gateway import teams as contract
from libs.common.contracts.gateway.teams import (
    MAX_TEAMS,
    TeamChanged,
    TeamCreateSealed,
    TeamKey,
    TeamKeySealed,
    TeamPatchSealed,
    TeamRole,
    TeamView,
    team_changed,
    team_created,
    team_removed,
)
from libs.common.listing import Source
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from services.gateway.domain.granting import Reach
from services.gateway.grants.lending import NOT_LENT, SELECT_ROLE
from services.gateway.grants.telling import tell_users
from services.gateway.identity.guard import reach_of, require_above, require_below, require_given, require_revision
from services.gateway.identity.sites import require_sites
from services.gateway.identity.users import granter, own_permissions_of, scope_of

_SELECT = """
SELECT team, purpose, created_at, created_by, revision,
    ARRAY(SELECT username FROM team_member WHERE team_member.team = team.team ORDER BY username) AS members,
    (SELECT coalesce(json_agg(json_build_object('role', role, 'sites', sites) ORDER BY role), '[]')
     FROM team_role WHERE team_role.team = team.team) AS roles
FROM team WHERE removed_at IS NULL
"""
SELECT_TEAMS = _SELECT + "ORDER BY team LIMIT 500"
SELECT_TEAM = _SELECT + "AND team = $1"
COUNT_TEAMS = "SELECT count(*) FROM team WHERE removed_at IS NULL"
INSERT_TEAM = """
INSERT INTO team (team, purpose, created_at, created_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING team
"""
LOCK_TEAM = "SELECT team FROM team WHERE team = $1 AND removed_at IS NULL FOR UPDATE"
UPDATE_TEAM = "UPDATE team SET purpose = coalesce($2, purpose), revision = revision + 1 WHERE team = $1"
MARK_REMOVED = "UPDATE team SET removed_at = $2, revision = revision + 1 WHERE team = $1"
DELETE_MEMBERS = "DELETE FROM team_member WHERE team = $1"
INSERT_MEMBERS = "INSERT INTO team_member (team, username) SELECT $1, unnest($2::text[])"
DELETE_ROLES = "DELETE FROM team_role WHERE team = $1"
INSERT_ROLE = "INSERT INTO team_role (team, role, sites) VALUES ($1, $2, $3)"
# Locked, so that nobody's role is changed while it is compared.
LOCK_PEOPLE = """
SELECT username, role, own_permissions, sites, active FROM users
WHERE username = ANY ($1::text[]) AND owner IS NULL ORDER BY username FOR UPDATE
"""


async def create_team(tx: Tx, body: TeamCreateSealed) -> TeamView:
    """Make a team. Raises `Conflict`, `Invalid`, `NotFound` for members, and `Forbidden` as `guard` does."""
    if await tx.connection.fetchval(COUNT_TEAMS) >= MAX_TEAMS:
        raise Conflict(f"There are {MAX_TEAMS} teams, which is all that there may be; remove one.")
    caller = await granter(tx, body)
    roles = await _given(tx, caller, body.roles)
    await _require_below(tx, caller, body.members, joining=body.members)
    if not await tx.connection.fetchval(INSERT_TEAM, body.team, body.purpose, tx.now, tx.actor):
        raise Conflict(
            f"There is or was a team {body.team}; change it with PATCH /api/teams/{body.team}, or take another name: "
            "names are not used twice."
        )
    await _store(tx, body.team, body.members, roles)
    view = await _view(tx.connection, body.team)
    tx.emit(team_created, view, subject=body.team)
    await tell_users(tx, view.members, FieldChange(field="teams", after=body.team))
    return view


async def patch_team(tx: Tx, body: TeamPatchSealed) -> TeamView:
    """Change what is given. What the team held before must be the caller's, too. Raises like `create_team`,
    and `PreconditionFailed`.
    """
    before = await _locked(tx, body.team)
    require_revision(f"the team {body.team}", before.revision, body.if_revision)
    caller = await granter(tx, body)
    await _require_held(tx, caller, before)
    roles = None if body.roles is None else await _given(tx, caller, body.roles)
    members = before.members if body.members is None else sorted(set(body.members))
    # Who is in it gets or loses something: all, if what it holds changes.
    moved = set(before.members) ^ set(members) if roles is None else {*before.members, *members}
    await _require_below(tx, caller, moved, joining=set(members) - set(before.members))
    await tx.connection.execute(UPDATE_TEAM, body.team, body.purpose)
    await _store(tx, body.team, None if body.members is None else members, roles)
    view = await _view(tx.connection, body.team)
    tx.emit(team_changed, told_of(TeamChanged, view, before.model_dump(), unstated=("revision",)), subject=body.team)
    await tell_users(tx, moved, FieldChange(field="teams", after=body.team))
    return view


async def remove_team(tx: Tx, body: TeamKeySealed) -> TeamView:
    """Remove a team; its members hold no more by it. Raises `NotFound` and `Forbidden`."""
    before = await _locked(tx, body.team)
    caller = await granter(tx, body)
    await _require_held(tx, caller, before)
    await _require_below(tx, caller, before.members)
    await _store(tx, body.team, [], [])
    await tx.connection.execute(MARK_REMOVED, body.team, tx.now)
    tx.emit(team_removed, before, subject=body.team)
    await tell_users(tx, before.members, FieldChange(field="teams", before=body.team))
    return before


async def list_teams(read: Read, _params: Nothing) -> list[TeamView]:
    """All teams by name."""
    return [TeamView(**row) for row in await read.pool.fetch(SELECT_TEAMS)]


async def get_team(read: Read, params: TeamKey) -> TeamView:
    """One team; raises `NotFound`."""
    return await _view(read.pool, params.team)


async def _view(source: Source, team: str) -> TeamView:
    rows = await source.fetch(SELECT_TEAM, team)
    if not rows:
        raise NotFound(f"There is no team {team}; GET /api/teams lists them.")
    return TeamView(**rows[0])


async def _locked(tx: Tx, team: str) -> TeamView:
    await tx.connection.fetchval(LOCK_TEAM, team)
    return await _view(tx.connection, team)


async def _store(tx: Tx, team: str, members: Iterable[str] | None, roles: Iterable[TeamRole] | None) -> None:
    if members is not None:
        await tx.connection.execute(DELETE_MEMBERS, team)
        await tx.connection.execute(INSERT_MEMBERS, team, sorted(set(members)))
    if roles is not None:
        await tx.connection.execute(DELETE_ROLES, team)
        await tx.connection.executemany(INSERT_ROLE, [(team, one.role, one.sites) for one in roles])


async def _given(tx: Tx, caller: Reach, roles: Iterable[TeamRole]) -> list[TeamRole]:
    """The roles as they are stored. Raises `Invalid` for what is not lent, `Forbidden` for what the caller lacks."""
    found = []
    for one in sorted(roles, key=lambda each: each.role):
        if one.role in NOT_LENT:
            raise Invalid(f"The role {one.role} is not held by a team; a user has it, or has it not.")
        sites = scope_of(one.sites)
        await require_sites(tx.connection, sites)
        given = reach_of(one.role, await own_permissions_of(tx.connection, one.role), sites)
        require_given(caller, given, f"the role {one.role}")
        require_below(caller, given, f"The role {one.role}")
        found.append(TeamRole(role=one.role, sites=sites))
    return found


async def _require_held(tx: Tx, caller: Reach, team: TeamView) -> None:
    """Raises `Forbidden` unless the caller holds all that the team holds now."""
    for one in team.roles:
        own = await tx.connection.fetchval(SELECT_ROLE, one.role)
        given = reach_of(one.role, own, one.sites)
        require_given(caller, given, f"or take the role {one.role} of the team {team.team}")
        require_below(caller, given, f"The role {one.role} of the team {team.team}")


async def _require_below(tx: Tx, caller: Reach, usernames: Iterable[str], joining: Iterable[str] = ()) -> None:
    """Raises `NotFound` and `Conflict` for who can't join, `Forbidden` for who holds more than the caller."""
    wanted = set(usernames)
    people: dict[str, asyncpg.Record] = {
        row["username"]: row for row in await tx.connection.fetch(LOCK_PEOPLE, sorted(wanted))
    }
    if missing := sorted(wanted - people.keys()):
        raise NotFound(f"There is no user {', '.join(missing[:20])}.")
    for username in sorted(joining):
        if not people[username]["active"]:
            raise Conflict(f"The user {username} is not active.")
    for username, row in people.items():
        theirs = reach_of(row["role"], row["own_permissions"], row["sites"])
        require_above(caller, theirs, username)
        require_below(caller, theirs, username)


TABLE = Table(
    commands={
        contract.create_team: create_team,
        contract.patch_team: patch_team,
        contract.remove_team: remove_team,
    },
    queries={contract.list_teams: list_teams, contract.get_team: get_team},
)
