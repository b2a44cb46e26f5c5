"""Passwords, for installations without a provider: a code of an administrator, one's own password, and signing in.

No password travels: the edge hashes it and seals the hash by the vault, and only that goes on the bus.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, MOST_ROWS, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.second_factors import Code, FactorProof
from libs.common.contracts.gateway.sessions import SessionOpened
from libs.common.contracts.gateway.users import UserKey
from libs.common.contracts.granting import Granter
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound, Unauthorized

SIGN_IN_PATH = "/api/sign-in"
SET_PATH = "/api/passwords"
CODE_HOURS, MAX_CODE_HOURS = 24, 168
How = Literal["code", "change"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Longer than any that is taken, so that whoever types too much is told by the rules.
Typed = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Sealed = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class PasswordSignIn(Model):
    """What a person types to come in."""

    username: Token = Field(description="The user's name: a-z, 0-9 and -")
    password: Typed
    code: Code | None = Field(None, description="What your second factor shows, if you have one, or a recovery code")


class PasswordOfCode(Model):
    """What a person types who got a code of an administrator."""

    username: Token = Field(description="The user's name: a-z, 0-9 and -")
    code: Typed = Field(description="The code that an administrator handed over")
    password: Typed = Field(description="The password that you choose")


class PasswordInvite(UserKey):
    """``expires_in_hours``: how long the code is good for."""

    expires_in_hours: int = Field(CODE_HOURS, ge=1, le=MAX_CODE_HOURS, description="How long the code is good for")


class PasswordInviteSealed(PasswordInvite, Granter):
    """What travels on the bus: the edge made the code and sends only its SHA-256."""

    secret_sha256: Sha256


class PasswordKey(UserKey, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class PasswordChange(Model):
    """What a person types who has a password and wants another one."""

    current_password: Typed = Field(description="The password that you have now")
    password: Typed = Field(description="The password that you choose")


class Tries(Model):
    """By which counters an attempt was counted: it is taken off them again when it was right."""

    kinds: list[str]
    buckets: list[int]


class PasswordChangeSealed(Model):
    """What travels on the bus: ``password`` is its sealed hash, ``revision`` the one that was shown to be known."""

    password: Sealed
    revision: int
    tries: Tries
    caller_session_id: int | None = None


class PasswordSetSealed(Model):
    """What travels on the bus when a code was shown; ``password`` is its sealed hash."""

    password: Sealed
    code_sha256: Sha256


class PasswordEntered(Model):
    """What the edge has proven: who came knew the password of this ``revision``, and showed this of a second factor."""

    revision: int
    tries: Tries
    proof: FactorProof | None = None
    secret_sha256: Sha256
    address: Annotated[str, StringConstraints(max_length=60)]
    agent: Annotated[str, StringConstraints(max_length=200)] = ""


class PasswordView(Open):
    """``set_at``: since when the password is good; null: there is none. ``code_until``: a code is out until then.

    ``second_factor``: whether a code is asked for beside the password.
    """

    username: str
    set_at: Time | None = None
    code_until: Time | None = None
    second_factor: bool = False


class PasswordFilter(Model):
    username: Token | None = Field(None, description="Only of this user")
    cursor: Token | None = Field(None, description="The last user of the page before")
    limit: int | None = Field(None, ge=1, le=MOST_ROWS, description=f"How many at the most; else {MOST_ROWS}")


class PasswordInvited(Open):
    """``code`` is shown in this one answer and never again; ``fingerprint`` begins its SHA-256."""

    username: str
    expires_at: Time
    fingerprint: str = ""
    code: str | None = None
    note: str = ""


class PasswordCodeMade(Open):
    """Told when an administrator made a code; not the code."""

    username: str
    expires_at: Time


class PasswordChanged(Changed):
    """Told when a person has chosen a password: with a ``code``, or as a ``change`` by oneself."""

    username: str
    by: How


class PasswordGone(Open):
    """Told when an administrator took a password, or a code that was out, away."""

    username: str


invite_password = Command(
    "gateway.password.invite",
    body=PasswordInviteSealed,
    result=PasswordInvited,
    # Not `user:write`: whoever makes a user and hands the code to oneself is two people, and agrees with oneself.
    permission="identity:write",
    http=POST("/api/users/{username}/password-code", status=201, seal="password_code"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Make a code with which a person chooses a password, once; it is shown once, for you to hand over",
    sited=False,
)
change_password = Command(
    "gateway.password.change",
    about="{actor}",
    body=PasswordChangeSealed,
    result=PasswordView,
    permission="me:write",
    http=POST("/api/me/password", seal="password_change"),
    errors=(Conflict, Forbidden, Invalid),
    summary="Choose another password; your other sessions end",
    sited=False,
)
remove_password = Command(
    "gateway.password.remove",
    body=PasswordKey,
    result=PasswordView,
    permission="identity:write",
    http=DELETE("/api/users/{username}/password", seal="password_key"),
    errors=(NotFound, Forbidden),
    summary="Take a user's password and code away; the sessions that were opened with it end",
    sited=False,
)
list_passwords = Query(
    "gateway.passwords.list",
    params=PasswordFilter,
    result=list[PasswordView],
    permission="identity:read",
    http=GET("/api/passwords", after="username"),
    summary="List who has a password, or a code for one",
    sited=False,
)
# Without routes of their own: who comes so has no token yet, and the edge judges what is shown.
set_password = Command(
    "gateway.password.set",
    about="{actor}",
    body=PasswordSetSealed,
    result=PasswordView,
    permission="me:write",
    errors=(Unauthorized,),
    summary="Set the password that a person has chosen with a code",
    sited=False,
)
enter_by_password = Command(
    "gateway.password.enter",
    about="{actor}",
    body=PasswordEntered,
    result=SessionOpened,
    permission="me:write",
    errors=(Unauthorized, Conflict),
    summary="Open a session for a person who knew their password",
    sited=False,
)
password_invited = Event(
    "gateway.password.invited", data=PasswordCodeMade, summary="A code for choosing a password was made"
)
password_changed = Event("gateway.password.changed", data=PasswordChanged, summary="A person has chosen a password")
password_removed = Event("gateway.password.removed", data=PasswordGone, summary="A password was taken away")
