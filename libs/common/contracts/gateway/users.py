"""Users: a role, and the sites where it counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, PATCH, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.problems import Conflict, Invalid, NotFound

Role = Literal["owner", "manager", "operator", "auditor", "viewer"]
Scope = Annotated[list[Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]{1,40}|\*)$")]], Field(max_length=200)]


class UserCreate(Model):
    """``sites`` holds site names, or ``*`` for all."""

    username: Token
    role: Role
    sites: Scope = ["global"]
    display_name: Annotated[str, StringConstraints(max_length=120)] = ""


class UserKey(Model):
    username: Token


class UserPatch(UserKey):
    role: Role | None = None
    sites: Scope | None = None
    display_name: Annotated[str, StringConstraints(max_length=120)] | None = None
    active: bool | None = None


class UserView(Open):
    username: str
    role: Role
    sites: list[str]
    display_name: str
    active: bool
    created_at: Time


create_user = Command(
    "gateway.user.create",
    body=UserCreate,
    result=UserView,
    permission="identity:write",
    http=POST("/api/users", status=201),
    errors=(Conflict, Invalid),
    summary="Create a user with a role and a site scope",
    sited=False,
)
patch_user = Command(
    "gateway.user.patch",
    body=UserPatch,
    result=UserView,
    permission="identity:write",
    http=PATCH("/api/users/{username}"),
    errors=(NotFound, Conflict, Invalid),
    summary="Change a user's role, scope or state; the last active owner stays",
    sited=False,
)
list_users = Query(
    "gateway.users.list",
    result=list[UserView],
    permission="identity:read",
    http=GET("/api/users"),
    summary="List the users",
    sited=False,
)
get_user = Query(
    "gateway.users.get",
    params=UserKey,
    result=UserView,
    permission="identity:read",
    http=GET("/api/users/{username}"),
    errors=(NotFound,),
    summary="Show a user",
    sited=False,
)
user_created = Event("gateway.user.created", data=UserView, summary="A user was created")
user_changed = Event("gateway.user.changed", data=UserView, summary="A user's role, scope or state changed")
