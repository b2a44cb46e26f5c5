"""What somebody may do, and why."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, Model, Open, Query, Site
from libs.common.contracts.gateway.accounts import Holder
from libs.common.contracts.names import Subject
from libs.common.problems import Forbidden, Invalid, NotFound

Judge = Literal["user", "role", "person", "owner", "token", "site", "subject"]


class PermissionAsk(Model):
    permission: Annotated[str, StringConstraints(pattern=r"^[a-z_:.]{1,100}$")] = Field(
        description="A permission such as gate:run, or an operation such as governance.gate.run"
    )
    site: Site | None = Field(None, description="The site where it would be done; else global, as in every request")
    subject: Subject | None = Field(None, description="What it would be about")
    username: Holder | None = Field(
        None, description="Who would do it: a user's name, or account:<name>; else you, with the token at hand"
    )


class PermissionCheck(PermissionAsk):
    """What is asked of the service: the edge adds the caller's token, 0: it came with none."""

    token_id: int = Field(ge=0, le=2**63 - 1)


class Reason(Open):
    """One thing that was looked at: ``allowed`` says whether it lets this pass."""

    by: Judge
    allowed: bool
    text: str


class PermissionAnswer(Open):
    """``because`` is the first reason against it, or how it comes that it is allowed.

    ``token_id``: the token that was looked at; null: none, so that this is what a token which is bound to nothing may.
    ``site``: null where it concerns no site, or the whole installation.
    """

    username: str
    permission: str
    operation: str | None
    site: str | None
    subject: str | None
    token_id: int | None
    allowed: bool
    because: str
    reasons: list[Reason]


check_permission = Query(
    "gateway.permissions.check",
    params=PermissionCheck,
    result=PermissionAnswer,
    permission="me:read",
    http=GET("/api/permissions/check", seal="permission"),
    errors=(Forbidden, NotFound, Invalid),
    summary="Whether you, or somebody else, may do a thing at a site, and why",
    sited=False,
)
