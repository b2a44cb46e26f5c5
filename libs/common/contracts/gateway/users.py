"""Users: a role, and the sites where it counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, PATCH, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.problems import Conflict, Invalid, NotFound

Role = Literal["owner", "manager", "commander", "operator", "auditor", "viewer"]
Scope = Annotated[list[Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]{1,40}|\*)$")]], Field(max_length=200)]


class UserCreate(Model):
    """``sites`` holds site names, or ``*`` for all."""

    username: Token = Field(description="The user's name: a-z, 0-9 and -")
    role: Role = Field(description="What the user may do")
    sites: Scope = Field(["global"], description="Names of sites, or * for all")
    display_name: Annotated[str, StringConstraints(max_length=120)] = Field("", description="The name that people read")


class UserKey(Model):
    username: Token = Field(description="The user's name: a-z, 0-9 and -")


class UserPatch(UserKey):
    role: Role | None = Field(None, description="What the user may do")
    sites: Scope | None = Field(None, description="Names of sites, or * for all")
    display_name: Annotated[str, StringConstraints(max_length=120)] | None = Field(
        None, description="The name that people read"
    )
    active: bool | None = Field(None, description="Whether the user may come in")


class UserView(Open):
    """``revision`` counts the user's changes: who hears of them in another order keeps the highest.

    0: told by a version that did not count yet.
    """

    username: str
    role: Role
    sites: list[str]
    display_name: str
    active: bool
    created_at: Time
    revision: int = 0


class UsersAfter(Model):
    """Users in the order of their names, from behind ``username`` on."""

    username: Annotated[str, StringConstraints(max_length=40)] = ""
    limit: int = Field(500, ge=1, le=1000)


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
# For services that keep their own list of people and come to know of users who were there before them.
page_users = Query("gateway.users.page", params=UsersAfter, result=list[UserView], sited=False)
user_created = Event("gateway.user.created", data=UserView, summary="A user was created")
user_changed = Event("gateway.user.changed", data=UserView, summary="A user's role, scope or state changed")
