"""Tokens: what callers show. Their secret is made at the edge and never travels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Line, Model, Open, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.accounts import Holder
from libs.common.contracts.gateway.token_policy import MAX_TTL_DAYS
from libs.common.contracts.gateway.users import Scope
from libs.common.contracts.names import printable_name
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

Reason = Literal["asked", "quota", "idle", "rotation", "age", "replaced", "user", "owner"]


SubjectPattern = Annotated[str, StringConstraints(min_length=1, max_length=201), AfterValidator(printable_name)]
Permission = Annotated[str, StringConstraints(pattern=r"^[a-z]+:[a-z]+$", max_length=60)]
Cidr = Annotated[str, StringConstraints(min_length=1, max_length=60)]


class Bounds(Model):
    """What a token is bound to beside its sites; null: not bound."""

    permissions: Annotated[list[Permission], Field(min_length=1, max_length=60)] | None = Field(
        None, description="What the token may, of what its user may, such as signal:write; else all of it"
    )
    subjects: Annotated[list[SubjectPattern], Field(min_length=1, max_length=50)] | None = Field(
        None, description="The subjects it is for: names, or beginnings of names that end in *; else all"
    )
    cidrs: Annotated[list[Cidr], Field(min_length=1, max_length=50)] | None = Field(
        None, description="The networks it works from, such as 10.1.0.0/16; else all"
    )


class TokenIssue(Bounds):
    """A token for a user (by default oneself); all that is said of its scope may only narrow the user's own."""

    username: Holder | None = Field(None, description="The user's name: a-z, 0-9 and -; or account:<name>")
    label: Line = Field(description="What it is for")
    sites: Scope = Field(["*"], description="Names of sites, or * for all")
    expires_in_hours: int | None = Field(
        None, ge=1, le=MAX_TTL_DAYS * 24, description="How long it works; else 720, or less where the policy says so"
    )


class TokenSealed(TokenIssue):
    """What travels on the bus: the edge made the secret and sends only its SHA-256, with the caller's own scope."""

    secret_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    caller_sites: Scope
    caller_bounds: Bounds = Bounds()
    caller_token_id: int | None = None
    caller_session_id: int | None = None


class TokenKey(Model):
    token_id: int = Field(ge=1, le=2**63 - 1, description="The token's number")


class TokenRevoke(TokenKey):
    """What travels on the bus: the edge adds the caller's own scope."""

    caller_sites: Scope
    caller_bounds: Bounds = Bounds()


class TokenRotate(TokenKey):
    """The new token may what the old one may; the old one works on for the overlap, so that nothing stands still."""

    overlap_minutes: int = Field(60, ge=0, le=1440, description="How long the old token works on; 0: not at all")
    expires_in_hours: int | None = Field(
        None, ge=1, le=MAX_TTL_DAYS * 24, description="How long the new one works; else as long as the old one did"
    )


class TokenRotateSealed(TokenRotate):
    """What travels on the bus, like `TokenSealed`."""

    secret_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    caller_sites: Scope
    caller_bounds: Bounds = Bounds()
    caller_token_id: int | None = None
    caller_session_id: int | None = None


class TokensRevoke(Model):
    username: Holder = Field(description="The user's name: a-z, 0-9 and -; or account:<name>")
    keep_current: bool = Field(True, description="Whether what you come with stays, if it is that user's")
    keep_accounts: bool = Field(False, description="Whether the tokens of the user's service accounts stay")


class TokensRevokeSealed(TokensRevoke):
    """What travels on the bus: the edge adds with what the caller came."""

    caller_sites: Scope
    caller_bounds: Bounds = Bounds()
    caller_token_id: int
    caller_session_id: int | None = None


class TokenFilter(Model):
    username: Holder | None = Field(None, description="The user's name: a-z, 0-9 and -; or account:<name>")
    active_only: bool = Field(False, description="Leave out what is revoked or expired")


class ExpiryWanted(Model):
    within_hours: int = Field(72, ge=1, le=8760)


class Expiring(Open):
    """Tokens of active users that stop working soon: how many, and the first of them by number."""

    live_count: int
    expiring_count: int
    token_ids: list[int]
    next_at: Time | None


class TokenView(Open):
    """``fingerprint`` is the first 16 hex digits of the secret's SHA-256; it tells tokens apart and opens nothing.

    ``standing``: the first owner's token, which neither its age nor idleness nor the quota ends. ``rotated_to``: the
    token that came in its place. ``rule``: what gave it to a job for some minutes ([federation](../tokens.md)).
    """

    token_id: int
    username: str
    label: str
    fingerprint: str
    sites: list[str]
    created_at: Time
    expires_at: Time
    revoked_at: Time | None = None
    last_used_at: Time | None = None
    last_used_address: str | None = None
    revoked_reason: Reason | None = None
    standing: bool = False
    rotated_to: int | None = None
    permissions: list[str] | None = None
    subjects: list[str] | None = None
    cidrs: list[str] | None = None
    rule: str | None = None


class TokenIssued(TokenView):
    """``token`` is shown in this one answer and never again. ``replaces``: the fingerprint of the rotated one."""

    replaces: str | None = None
    token: str | None = None
    note: str = ""


class TokenRevoked(Changed):
    """``reason``: what ended it; ``asked``: somebody; ``replaced``: it was made of another cluster secret; ``user``:
    its user is not active any more; ``owner``: its account has another owner.
    """

    token_id: int
    username: str
    reason: Reason = "asked"


class TokenRotated(Changed):
    """``works_until``: when the old one stops."""

    token_id: int
    username: str
    new_token_id: int
    works_until: Time


class TokensRevoked(Open):
    """The tokens that worked until now, and the sessions. ``accounts``: the user's accounts that lost tokens by it."""

    username: str
    token_ids: list[int]
    session_ids: list[int] = []
    accounts: list[str] = []


class TokenDue(Open):
    """What happens to a token at ``at`` if nobody does anything; ``action`` says what to do."""

    token_id: int
    username: str
    label: str
    at: Time
    left_days: int
    action: str


issue_token = Command(
    "gateway.token.issue",
    about="{token_id}",
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
    summary="Revoke a token; it stops working within a second everywhere (open streams of events: 5)",
    sited=False,
)
rotate_token = Command(
    "gateway.token.rotate",
    body=TokenRotateSealed,
    result=TokenIssued,
    permission="token:write",
    http=POST(
        "/api/tokens/{token_id}/rotate",
        status=201,
        seal="token_rotation",
        also=("/api/admin/tokens/{token_id}/rotate",),
    ),
    errors=(NotFound, Forbidden, Invalid, Conflict),
    summary="Replace a token by a new one, shown once; the old one works on for the overlap",
    sited=False,
)
revoke_tokens = Command(
    "gateway.tokens.revoke",
    body=TokensRevokeSealed,
    result=TokensRevoked,
    permission="token:write",
    http=POST("/api/users/{username}/tokens/revoke", seal="tokens"),
    errors=(NotFound, Forbidden),
    summary="Revoke all tokens of a user and end all sessions; they stop working within a second everywhere",
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
expiring_tokens = Query("gateway.tokens.expiring", params=ExpiryWanted, result=Expiring, sited=False)
token_issued = Event("gateway.token.issued", data=TokenView, summary="A token was issued (without its secret)")
token_revoked = Event(
    "gateway.token.revoked",
    data=TokenRevoked,
    summary="A token was revoked: by somebody, for the quota, or as idle or due for rotation",
)
token_rotated = Event("gateway.token.rotated", data=TokenRotated, summary="A token was replaced by another")
tokens_revoked = Event("gateway.tokens.revoked", data=TokensRevoked, summary="All tokens of a user were revoked")
token_expiring = Event("gateway.token.expiring", data=TokenDue, summary="A token ends soon")
token_aging = Event("gateway.token.aging", data=TokenDue, summary="A token reaches or has reached its rotation age")
token_idling = Event("gateway.token.idling", data=TokenDue, summary="A token that nobody uses is refused soon")
