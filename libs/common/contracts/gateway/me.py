"""Who the caller is."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import Http, Model, Open, Query, Time


class Held(Open):
    """A role that is held: by what (``grant 7``; empty: it is one's own), where, and until when; null: no end."""

    source: str
    role: str
    sites: list[str]
    permissions: list[str]
    ends_at: Time | None


class CallerKey(Model):
    """Filled in by the edge: the token or the session that the caller came with, and the roles that it counts."""

    token_id: int = Field(ge=0, le=2**63 - 1)
    session_id: int | None = None
    powers: list[Held] = []


class Me(Open):
    """``sites`` and ``permissions`` are what user and token both allow; ``subjects`` and ``cidrs`` what the token is
    bound to, null: to none. ``narrowed``: the token may less than its user. ``owner``: who answers for an account.
    ``grants``: what you hold beside your role, each at its own sites. With such, ``sites`` are all where you may
    anything, and ``permissions`` what you may at every one of them.
    ``powers``: your own role and those beside it, each as far as your token: what you may at a site is what those say
    that count there.
    ``session_id``: you came with a session, which was opened with the token ``token_id``.
    """

    username: str
    role: str
    sites: list[str]
    permissions: list[str]
    token_id: int | None
    session_id: int | None = None
    expires_at: Time
    narrowed: bool = False
    owner: str | None = None
    subjects: list[str] | None = None
    cidrs: list[str] | None = None
    grants: list[Held] = []
    powers: list[Held] = []


get_me = Query(
    "gateway.me.get",
    params=CallerKey,
    result=Me,
    permission="me:read",
    http=Http("GET", "/api/me", seal="caller"),
    summary="Who you are, what you may do, and where",
    sited=False,
)
