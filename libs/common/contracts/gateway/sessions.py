"""Sessions: a person in a browser. The cookie's secret is made at the edge and never travels further."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.users import ByRule
from libs.common.contracts.granting import Granter
from libs.common.problems import Conflict, Forbidden, NotFound

PATH = "/api/sessions"
Reason = Literal["asked", "quota", "idle", "over", "token", "user", "password", "provider", "reused"]


class SessionSealed(Model):
    """What travels on the bus: the edge made the secret and sends only its SHA-256, with what the person came by."""

    secret_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    token_id: int = Field(ge=1, le=2**63 - 1)
    address: Annotated[str, StringConstraints(max_length=60)]
    agent: Annotated[str, StringConstraints(max_length=200)] = ""


class SessionKey(Model):
    session_id: int = Field(ge=1, le=2**63 - 1, description="The session's number")


class SessionsEnd(Model):
    keep_current: bool = Field(True, description="Whether the session that you come with stays")


class SessionsEndSealed(SessionsEnd):
    """What travels on the bus: the edge adds with which session the caller came, if with one."""

    caller_session_id: int | None = None


class SessionsWanted(Model):
    """Filled in by the edge. ``places``: whether the caller may be told from where; not by a token that is bound."""

    caller_session_id: int | None = None
    places: bool = True


class SessionsOf(Model):
    username: Token = Field(description="The person's name: a-z, 0-9 and -")


class SessionRevoke(SessionsOf, SessionKey):
    """Somebody's session."""


class SessionRevokeSealed(SessionRevoke, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class SessionsRevoke(SessionsOf):
    keep_current: bool = Field(True, description="Whether the session that you come with stays, if it is that person's")


class SessionsRevokeSealed(SessionsRevoke, Granter):
    """What travels on the bus, like `SessionsEndSealed`, and with what the caller may."""

    caller_session_id: int | None = None


class SessionView(Open):
    """``address`` is where it was seen last, of IPv6 the network of 64 bits; ``agent`` the browser that opened it.

    ``idle_at``: when it ends if nobody uses it. ``token_id``: the token that it was opened with; it may no more than
    that, and ends with it. ``provider``: with which the person signed in. ``current``: you came with this one.
    ``program``: it is a program's login, no browser's. ``factor_at``: when a second factor was shown in it last.
    """

    session_id: int
    username: str
    opened_at: Time
    last_seen_at: Time
    idle_at: Time
    ends_at: Time
    address: str
    agent: str
    token_id: int | None = None
    provider: str | None = None
    current: bool = False
    program: bool = False
    factor_at: Time | None = None


class SessionOpened(SessionView):
    """``fingerprint`` is the beginning of the SHA-256 of the cookie's secret, which is in the cookie only.

    ``csrf_token`` goes into the header ``X-CSRF-Token`` of each request that changes something.
    """

    fingerprint: str = ""
    csrf_token: str | None = None
    note: str = ""


class SessionBegun(Open):
    """Told when a person has opened a session. ``by``: the rule of sign-in that let the person in."""

    session_id: int
    username: str
    ends_at: Time
    token_id: int | None = None
    provider: str | None = None
    by: ByRule | None = None


class SessionEnded(Changed):
    """``reason``: ``asked`` by the person or an administrator, ``quota``, ``idle``, ``over`` (its longest life);
    ``token``, ``user``: what it was opened with, or whose it was, is no longer good; ``password``: another one was
    chosen, or it was taken away; ``provider``: the person has left the provider, which said so; ``reused``: a secret
    that renews a login came twice.
    """

    session_id: int
    username: str
    reason: Reason = "asked"


class SessionsEnded(Open):
    """The sessions that worked until now."""

    username: str
    session_ids: list[int]


# Without a route of its own: the edge's `POST /api/sessions` sets the cookie.
open_session = Command(
    "gateway.session.open",
    about="{session_id}",
    body=SessionSealed,
    result=SessionOpened,
    permission="me:write",
    errors=(Forbidden, Conflict),
    summary="Open a session for a browser",
    sited=False,
)
list_sessions = Query(
    "gateway.sessions.list",
    params=SessionsWanted,
    result=list[SessionView],
    permission="me:read",
    http=GET("/api/me/sessions", seal="caller_session"),
    summary="List your own sessions that are open",
    sited=False,
)
end_session = Command(
    "gateway.session.end",
    body=SessionKey,
    result=SessionEnded,
    permission="me:write",
    http=DELETE("/api/me/sessions/{session_id}"),
    errors=(NotFound,),
    summary="End one of your sessions; it is out within a second everywhere",
    sited=False,
)
end_sessions = Command(
    "gateway.sessions.end_all",
    about="{actor}",
    body=SessionsEndSealed,
    result=SessionsEnded,
    permission="me:write",
    http=DELETE("/api/me/sessions", query=("keep_current",), seal="sessions"),
    summary="End all your sessions, by default but the one that you come with",
    sited=False,
)
list_user_sessions = Query(
    "gateway.sessions.of_user",
    params=SessionsOf,
    result=list[SessionView],
    permission="identity:read",
    http=GET("/api/users/{username}/sessions"),
    errors=(NotFound,),
    summary="List the sessions of a person that are open",
    sited=False,
)
revoke_session = Command(
    "gateway.session.revoke",
    body=SessionRevokeSealed,
    result=SessionEnded,
    permission="user:write",
    http=DELETE("/api/users/{username}/sessions/{session_id}", seal="user_session"),
    errors=(NotFound, Forbidden),
    summary="End somebody's session; it is out within a second everywhere",
    sited=False,
)
revoke_sessions = Command(
    "gateway.sessions.revoke",
    body=SessionsRevokeSealed,
    result=SessionsEnded,
    permission="user:write",
    http=POST("/api/users/{username}/sessions/revoke", seal="user_sessions"),
    errors=(NotFound, Forbidden),
    summary="End all sessions of a person; they are out within a second everywhere",
    sited=False,
)
session_opened = Event("gateway.session.opened", data=SessionBegun, summary="A person opened a session")
session_ended = Event("gateway.session.ended", data=SessionEnded, summary="A session ended, and why")
