"""Users: a role, and the sites where it counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from libs.common.contracts.base import GET, MOST_ROWS, PATCH, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.contracts.changes import FieldChange
from libs.common.contracts.granting import Granter
from libs.common.contracts.names import printable_name
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed

Role = Literal["owner", "manager", "commander", "operator", "auditor", "viewer", "keeper"]
RoleName = Token  # one of these, or a role of the installation's own
Scope = Annotated[list[Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]{1,40}|\*)$")]], Field(max_length=200)]

SearchText = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(printable_name)]


class UserCreate(Model):
    """``sites`` holds site names, or ``*`` for all."""

    username: Token = Field(description="The user's name: a-z, 0-9 and -")
    role: RoleName = Field(description="What the user may do: owner, manager, …, or a role of your own")
    sites: Scope = Field(["global"], description="Names of sites, or * for all")
    display_name: Annotated[str, StringConstraints(max_length=120)] = Field("", description="The name that people read")


class UserCreateSealed(UserCreate, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class UserKey(Model):
    username: Token = Field(description="The user's name: a-z, 0-9 and -")


class UserPatch(UserKey):
    role: RoleName | None = Field(None, description="What the user may do: owner, manager, …, or a role of your own")
    sites: Scope | None = Field(None, description="Names of sites, or * for all")
    display_name: Annotated[str, StringConstraints(max_length=120)] | None = Field(
        None, description="The name that people read"
    )
    active: bool | None = Field(
        None,
        description="Whether the user may come in; false ends all sessions and revokes all tokens, so that who is made "
        "active again needs new ones",
    )
    if_revision: IfRevision = None


class UserPatchSealed(UserPatch, Granter):
    """What travels on the bus, like `UserCreateSealed`."""


class UserView(Open):
    """``revision`` counts the user's changes: who hears of them in another order keeps the highest.

    0: told by a version that did not count yet. ``own_permissions``: what the role holds, if it is one of the
    installation's own; null: what the table of roles says.
    """

    username: str
    role: str
    sites: list[str]
    display_name: str
    active: bool
    created_at: Time
    revision: int = 0
    own_permissions: list[str] | None = None


class UserShown(UserView):
    """A user as it is shown. ``second_factor``: whether one is confirmed, however they sign in; null: not known."""

    second_factor: bool | None = None


class ByRule(Open):
    """Which rule of sign-in decided, and about whom: the provider's issuer and what it calls the person."""

    rule: str
    provider: str
    issuer: str
    sub: str


class UserTold(UserView):
    """A user as events tell of one: ``display_name`` is always empty.

    Events go to many and stay in the audit log for ever, so the name that people read is not in them; who shows it asks
    `name_users`. The field stays for readers of before, and what older events say in it is not believed either.
    """

    display_name: str = ""

    @field_validator("display_name")
    @classmethod
    def _untold(cls, _name: str) -> str:
        return ""


class UserChanged(UserTold):
    """A user after a change. Of the name that people read it is told that it changed, not from what to what.

    ``by``: a rule made the change at a sign-in.
    """

    changes: list[FieldChange] = []
    by: ByRule | None = None


class UsersAfter(Model):
    """Users in the order of their names, from behind ``username`` on."""

    username: Annotated[str, StringConstraints(max_length=40)] = ""
    limit: int = Field(500, ge=1, le=1000)


class UserFilter(Model):
    active: bool | None = Field(None, description="Only who is active, or only who is not")
    text: SearchText | None = Field(None, description="Part of their name, of the name that people read or of the role")
    cursor: Token | None = Field(None, description="The last user of the page before")
    limit: int | None = Field(None, ge=1, le=MOST_ROWS, description=f"How many at the most; else {MOST_ROWS}")


class UsersNamed(Model):
    usernames: Annotated[list[Token], Field(max_length=1000)]


class UserName(Open):
    """``display_name``: the name that people read; empty if there is none."""

    username: str
    display_name: str


create_user = Command(
    "gateway.user.create",
    about="{username}",
    body=UserCreateSealed,
    result=UserView,
    permission="user:write",
    http=POST("/api/users", status=201, seal="user"),
    errors=(Conflict, Invalid, Forbidden),
    summary="Create a user with a role and a site scope",
    sited=False,
)
patch_user = Command(
    "gateway.user.patch",
    body=UserPatchSealed,
    result=UserView,
    permission="user:write",
    http=PATCH("/api/users/{username}", seal="user_change", **GUARDED),
    errors=(NotFound, Conflict, Invalid, Forbidden, PreconditionFailed),
    summary="Change a user's role, scope or state; the last active owner stays",
    sited=False,
)
list_users = Query(
    "gateway.users.list",
    params=UserFilter,
    result=list[UserShown],
    permission="identity:read",
    http=GET("/api/users", after="username"),
    summary="List the users by name; a Link says where the next page is",
    sited=False,
)
get_user = Query(
    "gateway.users.get",
    params=UserKey,
    result=UserShown,
    permission="identity:read",
    http=GET("/api/users/{username}", revision="revision"),
    errors=(NotFound,),
    summary="Show a user",
    sited=False,
)
# For services that keep their own list of people and come to know of users who were there before them.
page_users = Query("gateway.users.page", params=UsersAfter, result=list[UserView], sited=False)
# For services that show people: names are kept in one place only, so that they can be changed and erased there.
name_users = Query("gateway.users.name", params=UsersNamed, result=list[UserName], sited=False)
user_created = Event("gateway.user.created", data=UserTold, summary="A user was created")
user_changed = Event("gateway.user.changed", data=UserChanged, summary="A user's role, scope or state changed")
