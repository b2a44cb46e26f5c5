"""Second factors: a code that an app makes (TOTP, RFC 6238), and recovery codes. Their secret is sealed at the edge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, POST, Command, Event, Model, Open, Time
from libs.common.contracts.gateway.users import UserKey
from libs.common.contracts.granting import Granter
from libs.common.problems import Conflict, Forbidden, NotFound

RECOVERY_CODES = 10
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class FactorCode(Model):
    code: Code = Field(description="What the app shows now, or where that is lost, a recovery code")


class FactorBegin(Model):
    """What travels on the bus: the edge made the secret; ``secret`` is sealed, ``fingerprint`` tells it apart."""

    secret: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class FactorProof(Model):
    """What the edge has seen: a code of this ``step`` (of 30 s), which counts once, or the SHA-256 of another code."""

    step: int | None = None
    recovery_sha256: Sha256 | None = None


class FactorConfirm(Model):
    """What travels on the bus: the code that was shown, and what is kept of the recovery codes that the edge made."""

    proof: FactorProof
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    codes_fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    recovery_sha256s: Annotated[list[Sha256], Field(min_length=1, max_length=RECOVERY_CODES)]


class FactorRemove(Model):
    """What travels on the bus."""

    proof: FactorProof


class FactorKey(UserKey, Granter):
    """What travels on the bus: the edge adds what the caller may."""


class FactorBegun(Open):
    """``otpauth_uri`` is shown in this one answer and never again: put it into an app, then confirm a code of it."""

    username: str
    fingerprint: str = ""
    otpauth_uri: str | None = None
    note: str = ""


class FactorView(Open):
    """``recovery_codes`` are shown in this one answer and never again, with spaces between; each counts once."""

    username: str
    confirmed_at: Time | None = None
    recovery_codes_left: int = 0
    fingerprint: str = ""
    recovery_codes: str | None = None
    note: str = ""


class FactorTold(Open):
    """A person has a second factor from now on."""

    username: str
    confirmed_at: Time


class FactorGone(Open):
    """``by``: the person, or an administrator who reset it."""

    username: str
    by: Literal["person", "administrator"]


class FactorRecovered(Open):
    """A recovery code was used; ``recovery_codes_left``: how many are left."""

    username: str
    recovery_codes_left: int


class FactorDue(Open):
    """A person must have a second factor and has none. After ``until`` their sessions do nothing but begin one."""

    username: str
    until: Time


begin_factor = Command(
    "gateway.second_factor.begin",
    body=FactorBegin,
    result=FactorBegun,
    permission="me:write",
    http=POST("/api/me/second-factor", status=201, seal="second_factor"),
    errors=(Conflict,),
    summary="Begin with a second factor: its secret is shown once, for an app, and counts when a code of it was shown",
    about="{actor}",
    sited=False,
)
confirm_factor = Command(
    "gateway.second_factor.confirm",
    body=FactorConfirm,
    result=FactorView,
    permission="me:write",
    http=POST("/api/me/second-factor/confirm", seal="factor_confirm"),
    errors=(Conflict, Forbidden),
    summary="Show a code of the app: from now on one is asked for; recovery codes are shown once",
    about="{actor}",
    sited=False,
)
drop_factor = Command(
    "gateway.second_factor.drop",
    body=FactorRemove,
    result=FactorView,
    permission="me:write",
    http=POST("/api/me/second-factor/drop", seal="factor_drop"),
    errors=(Conflict, Forbidden),
    summary="Do without your second factor, with a last code of it",
    about="{actor}",
    sited=False,
)
reset_factor = Command(
    "gateway.second_factor.reset",
    body=FactorKey,
    result=FactorView,
    permission="identity:write",
    http=DELETE("/api/users/{username}/second-factor", seal="password_key"),
    errors=(NotFound, Forbidden),
    summary="Take a user's second factor away, for who has lost it; their sessions end",
    sited=False,
)
factor_confirmed = Event(
    "gateway.second_factor.confirmed", data=FactorTold, summary="A person has a second factor from now on"
)
factor_removed = Event("gateway.second_factor.removed", data=FactorGone, summary="A second factor was taken away")
factor_recovered = Event("gateway.second_factor.recovered", data=FactorRecovered, summary="A recovery code was used")
factor_due = Event(
    "gateway.second_factor.due", data=FactorDue, summary="A person must have a second factor, and lacks it"
)
