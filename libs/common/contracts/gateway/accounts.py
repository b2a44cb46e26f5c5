"""Service accounts: callers that are no persons. A person answers for each, and it never may more than that person."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import (
    GET,
    MOST_ROWS,
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
from libs.common.contracts.changes import FieldChange
from libs.common.contracts.gateway.users import Scope, SearchText
from libs.common.contracts.granting import Granter
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed

PREFIX = "account:"
# Whoever may hold a token: a user, or an account by its name as an actor.
Holder = Annotated[str, StringConstraints(pattern=r"^(account:)?[a-z0-9-]{1,40}$")]
AccountRole = Literal["manager", "operator", "auditor", "viewer"]


class AccountCreate(Model):
    """``sites`` holds site names, or ``*`` for all that the owner may see."""

    name: Token = Field(description="The account's name: a-z, 0-9 and -; as an actor it is account:<name>")
    owner: Token | None = Field(None, description="The person who answers for it; else you")
    role: AccountRole = Field(description="What its tokens may at most, as far as the owner may it, too")
    sites: Scope = Field(["global"], description="Names of sites, or * for all that its owner has")
    purpose: Line = Field(description="What it is for, in a sentence")


class AccountCreateSealed(AccountCreate, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class AccountKey(Model):
    name: Token = Field(description="The account's name, without account:")


class AccountPatch(AccountKey):
    owner: Token | None = Field(None, description="The person who answers for it")
    role: AccountRole | None = Field(None, description="What its tokens may at most")
    sites: Scope | None = Field(None, description="Names of sites, or * for all that its owner has")
    purpose: Line | None = Field(None, description="What it is for, in a sentence")
    active: bool | None = Field(None, description="Whether its tokens work")
    keep_tokens: bool = Field(
        False, description="Whether its tokens go on under another owner, though the owner before may know them"
    )
    if_revision: IfRevision = None


class AccountPatchSealed(AccountPatch, Granter):
    """What travels on the bus, like `AccountCreateSealed`."""


class AccountFilter(Model):
    owner: Token | None = Field(None, description="Only of this person")
    orphaned_only: bool = Field(False, description="Only those whose owner is not active any more")
    active: bool | None = Field(None, description="Only those that are active, or only those that are not")
    text: SearchText | None = Field(None, description="Part of their name, purpose, owner or role")
    cursor: Token | None = Field(None, description="The last account of the page before")
    limit: int | None = Field(None, ge=1, le=MOST_ROWS, description=f"How many at the most; else {MOST_ROWS}")


class AccountTold(Open):
    """``actor``: how the account is named in the audit log and everywhere else. ``revision`` counts its changes."""

    name: str
    actor: str
    owner: str
    role: AccountRole
    sites: list[str]
    purpose: str
    active: bool
    created_at: Time
    revision: int


class AccountView(AccountTold):
    """``orphaned``: the owner is not active any more, so that none of its tokens works until it has another one.

    ``live_token_count``: tokens that work; ``last_used_at``: of any of its tokens.
    """

    orphaned: bool
    live_token_count: int
    last_used_at: Time | None = None


class AccountChanged(AccountTold):
    changes: list[FieldChange] = []


create_account = Command(
    "gateway.account.create",
    about="account:{name}",
    body=AccountCreateSealed,
    result=AccountView,
    permission="identity:write",
    http=POST("/api/accounts", status=201, seal="account"),
    errors=(NotFound, Conflict, Invalid, Forbidden),
    summary="Create a service account for a machine; a person answers for it",
    sited=False,
)
patch_account = Command(
    "gateway.account.patch",
    about="account:{name}",
    body=AccountPatchSealed,
    result=AccountView,
    permission="identity:write",
    http=PATCH("/api/accounts/{name}", seal="account_change", **GUARDED),
    errors=(NotFound, Conflict, Invalid, Forbidden, PreconditionFailed),
    summary="Change a service account's owner, role, scope, purpose or state",
    sited=False,
)
list_accounts = Query(
    "gateway.accounts.list",
    params=AccountFilter,
    result=list[AccountView],
    permission="identity:read",
    http=GET("/api/accounts", after="name"),
    summary="List the service accounts: who answers for them, and when they were last used",
    sited=False,
)
get_account = Query(
    "gateway.accounts.get",
    params=AccountKey,
    result=AccountView,
    permission="identity:read",
    http=GET("/api/accounts/{name}", revision="revision"),
    errors=(NotFound,),
    summary="Show a service account",
    sited=False,
)
account_created = Event("gateway.account.created", data=AccountTold, summary="A service account was created")
account_changed = Event(
    "gateway.account.changed", data=AccountChanged, summary="A service account's owner, role, scope or state changed"
)
