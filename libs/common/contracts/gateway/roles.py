"""Roles of the installation's own, made of permissions of the table; beside them those that are always there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from libs.common.contracts.base import (
    DELETE,
    GET,
    PATCH,
    POST,
    Command,
    Event,
    Line,
    Model,
    Open,
    Query,
    Time,
    Token,
)
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.tokens import Permission
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed

Held = Annotated[list[Permission], Field(min_length=1, max_length=100)]


class RoleKey(Model):
    role: Token = Field(description="The role's name: a-z, 0-9 and -")


class RoleCreate(RoleKey):
    permissions: Held = Field(description="What it holds, such as gate:run; none that you don't hold yourself")
    purpose: Line = Field(description="Whom it is for, in a sentence")


class RoleCreateSealed(RoleCreate):
    """What travels on the bus: the edge adds what the caller may."""

    caller_permissions: list[str]


class RolePatch(RoleKey):
    permissions: Held | None = Field(None, description="All that it holds from now on")
    purpose: Line | None = Field(None, description="Whom it is for, in a sentence")
    if_revision: IfRevision = None


class RolePatchSealed(RolePatch):
    """What travels on the bus, like `RoleCreateSealed`."""

    caller_permissions: list[str]


class RoleKeySealed(RoleKey):
    """What travels on the bus, like `RoleCreateSealed`."""

    caller_permissions: list[str]


class RoleTold(Open):
    """``revision`` counts its changes."""

    role: str
    purpose: str
    permissions: list[str]
    created_at: Time | None = None
    revision: int = 0


class RoleView(RoleTold):
    """``built_in``: it is always there, as the table of roles says. ``user_count``: who has it, active or not."""

    built_in: bool
    user_count: int


class RoleChanged(RoleTold, Changed):
    """A role after a change."""


create_role = Command(
    "gateway.role.create",
    about="{role}",
    body=RoleCreateSealed,
    result=RoleView,
    permission="identity:write",
    http=POST("/api/roles", status=201, seal="role"),
    errors=(Conflict, Invalid, Forbidden),
    summary="Create a role of your own from the list of permissions",
    sited=False,
)
patch_role = Command(
    "gateway.role.patch",
    body=RolePatchSealed,
    result=RoleView,
    permission="identity:write",
    http=PATCH("/api/roles/{role}", seal="role_change", **GUARDED),
    errors=(NotFound, Conflict, Invalid, Forbidden, PreconditionFailed),
    summary="Change what a role of your own holds; it counts at once for all who have it",
    sited=False,
)
remove_role = Command(
    "gateway.role.remove",
    body=RoleKeySealed,
    result=RoleView,
    permission="identity:write",
    http=DELETE("/api/roles/{role}", seal="role_key"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Remove a role of your own that nobody has",
    sited=False,
)
list_roles = Query(
    "gateway.roles.list",
    result=list[RoleView],
    permission="identity:read",
    http=GET("/api/roles"),
    summary="List the roles: what each holds, and how many have it",
    sited=False,
)
get_role = Query(
    "gateway.roles.get",
    params=RoleKey,
    result=RoleView,
    permission="identity:read",
    http=GET("/api/roles/{role}", revision="revision"),
    errors=(NotFound,),
    summary="Show a role",
    sited=False,
)
role_created = Event("gateway.role.created", data=RoleTold, summary="A role of the installation's own was created")
role_changed = Event(
    "gateway.role.changed", data=RoleChanged, summary="What a role of the installation's own holds changed"
)
role_removed = Event("gateway.role.removed", data=RoleTold, summary="A role of the installation's own was removed")
