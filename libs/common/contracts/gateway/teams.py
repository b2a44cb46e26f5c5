"""Teams: named lists of people who hold roles together, beside their own, each role at its own sites."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from libs.common.contracts.base import (
    DELETE,
    GET,
    PATCH,
    POST,
    Command,
    Event,
    Line,
    Model,
    Nothing,
    Open,
    Query,
    Time,
    Token,
)
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.users import RoleName, Scope
from libs.common.contracts.granting import Granter
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed

MAX_MEMBERS, MAX_ROLES, MAX_TEAMS = 200, 20, 500


class TeamRole(Model):
    """A role that all members hold, and where."""

    role: RoleName
    sites: Scope = Field(min_length=1)


Members = Annotated[list[Token], Field(max_length=MAX_MEMBERS)]
Roles = Annotated[list[TeamRole], Field(max_length=MAX_ROLES)]


class TeamKey(Model):
    team: Token = Field(description="The team's name: a-z, 0-9 and -")


class TeamCreate(TeamKey):
    purpose: Line = Field(description="What it is for, in a sentence")
    members: Members = Field([], description="Who is in it: active users")
    roles: Roles = Field([], description="What its members hold, each role at its own sites; never owner")

    @model_validator(mode="after")
    def _once(self) -> TeamCreate:
        _each_once(self.roles)
        return self


class TeamCreateSealed(TeamCreate, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class TeamPatch(TeamKey):
    purpose: Line | None = Field(None, description="What it is for, in a sentence")
    members: Members | None = Field(None, description="All who are in it from now on")
    roles: Roles | None = Field(None, description="All that its members hold from now on")
    if_revision: IfRevision = None

    @model_validator(mode="after")
    def _once(self) -> TeamPatch:
        _each_once(self.roles or [])
        return self


class TeamPatchSealed(TeamPatch, Granter):
    """What travels on the bus, like `TeamCreateSealed`."""


class TeamKeySealed(TeamKey, Granter):
    """What travels on the bus, like `TeamCreateSealed`."""


class TeamView(Open):
    """``revision`` counts its changes."""

    team: str
    purpose: str
    members: list[str]
    roles: list[TeamRole]
    created_at: Time
    created_by: str
    revision: int


class TeamChanged(TeamView, Changed):
    """A team after a change."""


def _each_once(roles: list[TeamRole]) -> None:
    names = [one.role for one in roles]
    if len(set(names)) < len(names):
        raise ValueError("a role stands here twice; give it once, with all its sites")


create_team = Command(
    "gateway.team.create",
    body=TeamCreateSealed,
    result=TeamView,
    permission="user:write",
    http=POST("/api/teams", status=201, seal="team"),
    about="{team}",
    errors=(NotFound, Conflict, Invalid, Forbidden),
    summary="Create a team: people who hold roles together, beside their own",
    sited=False,
)
patch_team = Command(
    "gateway.team.patch",
    body=TeamPatchSealed,
    result=TeamView,
    permission="user:write",
    http=PATCH("/api/teams/{team}", seal="team_change", **GUARDED),
    errors=(NotFound, Conflict, Invalid, Forbidden, PreconditionFailed),
    summary="Change who is in a team, or what its members hold; it counts at once",
    sited=False,
)
remove_team = Command(
    "gateway.team.remove",
    body=TeamKeySealed,
    result=TeamView,
    permission="user:write",
    http=DELETE("/api/teams/{team}", seal="team_key"),
    errors=(NotFound, Forbidden),
    summary="Remove a team; its members hold no more by it",
    sited=False,
)
list_teams = Query(
    "gateway.teams.list",
    params=Nothing,
    result=list[TeamView],
    permission="identity:read",
    http=GET("/api/teams"),
    summary="List the teams: who is in them, and what they hold where",
    sited=False,
)
get_team = Query(
    "gateway.teams.get",
    params=TeamKey,
    result=TeamView,
    permission="identity:read",
    http=GET("/api/teams/{team}", revision="revision"),
    errors=(NotFound,),
    summary="Show a team",
    sited=False,
)
team_created = Event("gateway.team.created", data=TeamView, summary="A team was created")
team_changed = Event("gateway.team.changed", data=TeamChanged, summary="A team's members or roles changed")
team_removed = Event("gateway.team.removed", data=TeamView, summary="A team was removed")
