"""What is kept of a person: all of it as one answer, and its erasure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.audit.sessions import Session as Work
from libs.common.contracts.base import GET, POST, Command, Event, Nothing, Open, Query, Time
from libs.common.contracts.gateway.users import UserKey, UserView
from libs.common.contracts.granting import Granter
from libs.common.contracts.notifier.personal import OwnPlace
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, NotFound, TimedOut, Unavailable

MAX_WORK = 1_000
State = Literal["none", "pending", "done", "unknown"]


class UserErase(UserKey):
    reason: Reason = Field(description="Why, in a line; it stays in the audit log")


class UserEraseSealed(UserErase, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class UserErased(Open):
    """The username stays, as a pseudonym. Services that keep something of the person let it go when they hear this."""

    username: str
    erased_at: Time
    reason: str


class Erasure(Open):
    """``state``: ``done`` when nothing of the person is left anywhere; ``pending`` while a service has not heard of it;
    ``unknown`` while one can't be asked; ``none``: nobody asked for it. ``left_count``: fields that are still there.
    """

    username: str
    state: State
    erased_at: Time | None
    left_count: int | None


class KeptProvider(Open):
    """Who the person is at a provider of sign-in."""

    provider: str
    issuer: str
    sub: str
    linked_at: Time


class KeptSession(Open):
    session_id: int
    opened_at: Time
    last_seen_at: Time
    ended_at: Time | None
    address: str
    agent: str


class KeptToken(Open):
    """``addresses``: from where it came in the last 90 days."""

    token_id: int
    label: str
    created_at: Time
    revoked_at: Time | None
    last_used_at: Time | None
    last_used_address: str | None
    addresses: list[str]


class PersonalData(Open):
    """What is kept of a person beside what they did. ``work``: when and from where they were at work, out of the audit
    log, at the sites that the asker may see: the newest 1,000; ``work_left_out`` says that there is more, or may be.
    """

    user: UserView
    erased_at: Time | None
    providers: list[KeptProvider]
    sessions: list[KeptSession]
    tokens: list[KeptToken]
    channels: list[OwnPlace]
    work: list[Work]
    work_left_out: bool


erase_user = Command(
    "gateway.user.erase",
    body=UserEraseSealed,
    result=UserErased,
    permission="identity:write",
    http=POST("/api/users/{username}/erase", seal="user_erase"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Erase what is kept of a person who is not active any more; the audit log stays whole",
    sited=False,
)
get_erasure = Query(
    "gateway.erasures.get",
    params=UserKey,
    result=Erasure,
    permission="personal:read",
    http=GET("/api/users/{username}/erasure"),
    errors=(NotFound,),
    summary="Say whether anything of a person is left to be erased",
    sited=False,
)
get_personal_data = Query(
    "gateway.personal.get",
    params=UserKey,
    result=PersonalData,
    permission="personal:read",
    logged=True,
    http=GET("/api/users/{username}/personal-data"),
    errors=(NotFound, Unavailable, TimedOut),
    summary="Export what is kept of a person",
    sited=False,
)
# It takes who may change their own things, so that a token which is bound to something else exports nobody.
get_own_data = Query(
    "gateway.personal.own",
    params=Nothing,
    result=PersonalData,
    permission="me:write",
    logged=True,
    http=GET("/api/me/personal-data"),
    errors=(NotFound, Unavailable, TimedOut),
    summary="Export what is kept of you",
    sited=False,
)
user_erased = Event("gateway.user.erased", data=UserErased, summary="What was kept of a person was erased")
