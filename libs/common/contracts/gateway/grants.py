"""Grants: a role that somebody holds beside their own, at some sites, until an instant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Line, Model, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.users import RoleName, Scope
from libs.common.contracts.granting import Granter
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

MAX_DAYS = 90
MAX_OF_USER = 20
Ending = Literal["asked", "over"]


class GrantGive(Model):
    username: Token = Field(description="Who gets it: an active user")
    role: RoleName = Field(description="The role that is held beside the user's own; never owner")
    sites: Scope = Field(["global"], min_length=1, description="Where: names of sites, or * for all")
    ends_at: Time = Field(description=f"Until when, at most {MAX_DAYS} days from now")
    reason: Line = Field(description="Why, in a sentence")


class GrantGiveSealed(GrantGive, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class GrantKey(Model):
    grant_id: int = Field(ge=1, le=2**63 - 1, description="The number of the grant")


class GrantKeySealed(GrantKey, Granter):
    """What travels on the bus, like `GrantGiveSealed`."""


class GrantFilter(Model):
    username: Token | None = Field(None, description="Only of this user")
    live_only: bool = Field(True, description="Whether those that have ended are left out")


class GrantView(Open):
    """``ended_reason``: ``asked``: somebody ended it, ``ended_by``; ``over``: its time was."""

    grant_id: int
    username: str
    role: str
    sites: list[str]
    ends_at: Time
    reason: str
    given_by: str
    given_at: Time
    ended_at: Time | None = None
    ended_by: str | None = None
    ended_reason: Ending | None = None


class GrantEnded(GrantView, Changed):
    """A grant that is held no more."""


give_grant = Command(
    "gateway.grant.give",
    body=GrantGiveSealed,
    result=GrantView,
    permission="user:write",
    http=POST("/api/grants", status=201, seal="grant"),
    about="{grant_id}",
    errors=(NotFound, Conflict, Invalid, Forbidden),
    summary="Give a user a role beside their own, at some sites, until an instant",
    sited=False,
)
end_grant = Command(
    "gateway.grant.end",
    body=GrantKeySealed,
    result=GrantView,
    permission="user:write",
    http=DELETE("/api/grants/{grant_id}", seal="grant_key"),
    errors=(NotFound, Conflict, Forbidden),
    summary="End a grant before its time",
    sited=False,
)
list_grants = Query(
    "gateway.grants.list",
    params=GrantFilter,
    result=list[GrantView],
    permission="identity:read",
    http=GET("/api/grants"),
    summary="List the grants: who holds which role beside their own, where, until when and why",
    sited=False,
)
grant_given = Event("gateway.grant.given", data=GrantView, summary="A role was given to a user until an instant")
grant_ending = Event("gateway.grant.ending", data=GrantView, summary="A grant will end soon")
grant_ended = Event("gateway.grant.ended", data=GrantEnded, summary="A grant has ended, by its time or by hand")
