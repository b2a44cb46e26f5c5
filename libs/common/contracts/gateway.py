"""Gateway: who may do what where. Identity is changed by contracts like everything else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from libs.common.contracts.base import (
    DELETE,
    GET,
    PATCH,
    POST,
    Command,
    Contract,
    Event,
    Http,
    Line,
    Model,
    Nothing,
    Open,
    Query,
    Site,
    Time,
    Token,
)
from libs.common.contracts.common import (
    dead_letter_commands,
    dead_letter_events,
    dead_letter_queries,
    outcome_query,
)
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

Role = Literal["owner", "manager", "operator", "auditor", "viewer"]
Scope = Annotated[list[Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]{1,40}|\*)$")]], Field(max_length=200)]


class SiteCreate(Model):
    site: Site
    title: Line


class SiteView(Open):
    site: str
    title: str
    created_at: Time


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


class TokenIssue(Model):
    """A token for a user (by default oneself); ``sites`` may only narrow the user's own scope."""

    username: Token | None = None
    label: Line
    sites: Scope = ["*"]
    expires_in_hours: int = Field(720, ge=1, le=8760)


class TokenSealed(TokenIssue):
    """What travels on the bus: the edge made the secret and sends only its SHA-256, with the caller's own scope."""

    secret_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    caller_sites: Scope


class CallerKey(Model):
    """Filled in by the edge: the token that the caller came with."""

    token_id: int = Field(ge=1, le=2**63 - 1)


class TokenKey(Model):
    token_id: int = Field(ge=1, le=2**63 - 1)


class TokenRevoke(TokenKey):
    """What travels on the bus: the edge adds the caller's own scope."""

    caller_sites: Scope


class TokenFilter(Model):
    username: Token | None = None


class TokenView(Open):
    """``fingerprint`` is the first 16 hex digits of the secret's SHA-256; it tells tokens apart and opens nothing."""

    token_id: int
    username: str
    label: str
    fingerprint: str
    sites: list[str]
    created_at: Time
    expires_at: Time
    revoked_at: Time | None = None
    last_used_at: Time | None = None


class TokenIssued(TokenView):
    """``token`` is shown in this one answer and never again."""

    token: str | None = None
    note: str = ""


class Me(Open):
    username: str
    role: Role
    sites: list[str]
    permissions: list[str]
    token_id: int
    expires_at: Time


class RefusalCount(Open):
    """``who`` is a username, or ``address:<ip>`` of a caller without a valid token."""

    who: str
    route: str
    status: int
    count: int


class RefusalsCounted(Open):
    """Refused requests of one minute; ``overflow_count`` is how many did not fit the list."""

    minute: Time
    instance: str
    items: list[RefusalCount]
    overflow_count: int = 0


class TokenRevoked(Open):
    token_id: int
    username: str


create_site = Command(
    "gateway.site.create",
    body=SiteCreate,
    result=SiteView,
    permission="site:write",
    http=POST("/api/sites", status=201),
    errors=(Conflict,),
    summary="Create a site",
    sited=False,
)
list_sites = Query(
    "gateway.sites.list",
    result=list[SiteView],
    permission="site:read",
    http=GET("/api/sites"),
    summary="List the sites that you may see",
    sited=False,
)
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
issue_token = Command(
    "gateway.token.issue",
    body=TokenSealed,
    result=TokenIssued,
    permission="token:write",
    http=POST("/api/tokens", status=201, seal="token"),
    errors=(NotFound, Forbidden, Invalid, Conflict),
    summary="Issue a token; it is shown once",
    sited=False,
)
revoke_token = Command(
    "gateway.token.revoke",
    body=TokenRevoke,
    result=TokenView,
    permission="token:write",
    http=DELETE("/api/tokens/{token_id}", seal="scope"),
    errors=(NotFound, Forbidden),
    summary="Revoke a token; it stops working within 5 seconds everywhere",
    sited=False,
)
list_tokens = Query(
    "gateway.tokens.list",
    params=TokenFilter,
    result=list[TokenView],
    permission="token:read",
    http=GET("/api/tokens"),
    summary="List tokens (never their secret): one's own, or everybody's for those who may read identity",
    sited=False,
)
get_me = Query(
    "gateway.me.get",
    params=CallerKey,
    result=Me,
    permission="me:read",
    http=Http("GET", "/api/me", seal="caller"),
    summary="Who you are, what you may do, and where",
    sited=False,
)
site_created = Event("gateway.site.created", data=SiteView, summary="A site was created")
user_created = Event("gateway.user.created", data=UserView, summary="A user was created")
user_changed = Event("gateway.user.changed", data=UserView, summary="A user's role, scope or state changed")
token_issued = Event("gateway.token.issued", data=TokenView, summary="A token was issued (without its secret)")
token_revoked = Event("gateway.token.revoked", data=TokenRevoked, summary="A token was revoked")
refusals_counted = Event("gateway.refusals.counted", data=RefusalsCounted, summary="Requests refused in one minute")

# What a caller may send where the edge adds fields of its own (`Http.seal`): the model on the bus has more fields.
SEALED_BODIES: dict[str, type[BaseModel]] = {"token": TokenIssue, "scope": TokenKey, "caller": Nothing}

CONTRACT = Contract(
    "gateway",
    commands=(create_site, create_user, patch_user, issue_token, revoke_token, *dead_letter_commands("gateway")),
    queries=(
        list_sites,
        list_users,
        get_user,
        list_tokens,
        get_me,
        outcome_query("gateway"),
        *dead_letter_queries("gateway"),
    ),
    events=(
        site_created,
        user_created,
        user_changed,
        token_issued,
        token_revoked,
        refusals_counted,
        *dead_letter_events("gateway"),
    ),
)
