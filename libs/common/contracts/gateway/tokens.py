"""Tokens: what callers show. Their secret is made at the edge and never travels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Line, Model, Open, Query, Time, Token
from libs.common.contracts.gateway.users import Scope
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound


class TokenIssue(Model):
    """A token for a user (by default oneself); ``sites`` may only narrow the user's own scope."""

    username: Token | None = Field(None, description="The user's name: a-z, 0-9 and -")
    label: Line = Field(description="What it is for")
    sites: Scope = Field(["*"], description="Names of sites, or * for all")
    expires_in_hours: int = Field(720, ge=1, le=8760, description="How long it works")


class TokenSealed(TokenIssue):
    """What travels on the bus: the edge made the secret and sends only its SHA-256, with the caller's own scope."""

    secret_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    caller_sites: Scope


class TokenKey(Model):
    token_id: int = Field(ge=1, le=2**63 - 1, description="The token's number")


class TokenRevoke(TokenKey):
    """What travels on the bus: the edge adds the caller's own scope."""

    caller_sites: Scope


class TokenFilter(Model):
    username: Token | None = Field(None, description="The user's name: a-z, 0-9 and -")


class ExpiryWanted(Model):
    within_hours: int = Field(72, ge=1, le=8760)


class Expiring(Open):
    """Tokens of active users that stop working soon: how many, and the first of them by number."""

    live_count: int
    expiring_count: int
    token_ids: list[int]
    next_at: Time | None


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


class TokenRevoked(Open):
    token_id: int
    username: str


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
expiring_tokens = Query("gateway.tokens.expiring", params=ExpiryWanted, result=Expiring, sited=False)
token_issued = Event("gateway.token.issued", data=TokenView, summary="A token was issued (without its secret)")
token_revoked = Event("gateway.token.revoked", data=TokenRevoked, summary="A token was revoked")
