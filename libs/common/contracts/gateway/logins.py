"""Logins: a person's program is signed in. Its token lives for minutes; what renews it is new each time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import Command, Event, Model, Open, Time
from libs.common.contracts.changes import Changed
from libs.common.problems import Conflict, Forbidden, Unauthorized

PATH = "/api/logins"
RENEW_PATH = "/api/logins/renew"
LEEWAY_S = 10  # in which who comes second is refused, and not taken for a thief
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, StringConstraints(max_length=60)]


class LoginSealed(Model):
    """What travels on the bus: SHA-256 of the token (``secret_sha256``) and of what renews it, and with what the caller
    came: a token, or a session of a browser, of which the login has what that was opened with.
    """

    secret_sha256: Sha256
    refresh_sha256: Sha256
    token_id: int | None = None
    caller_session_id: int | None = None
    address: Address
    agent: Annotated[str, StringConstraints(max_length=200)] = ""


class LoginRenew(Model):
    """``next_sha256``: a program makes the next secret itself and keeps it before it asks, so that a lost answer costs
    nothing: it asks the same once more.
    """

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The secret that renews the login; it counts once"
    )
    next_sha256: Sha256 | None = Field(
        None, description="SHA-256 (hex) of the secret that renews it the next time; else one is made and answered"
    )


class LoginRenewSealed(Model):
    """What travels on the bus."""

    session_id: int
    refresh_sha256: Sha256
    next_sha256: Sha256
    secret_sha256: Sha256
    address: Address


class LoginView(Open):
    """``access_token`` is sent as any token until ``access_until``, ``refresh_token`` renews it before and after that.

    Both are shown in this one answer and never again. The login ends at ``ends_at``, and at ``idle_at`` if it is not
    used until then. ``fingerprint`` tells tokens apart and opens nothing.
    """

    session_id: int
    username: str
    access_until: Time
    ends_at: Time
    idle_at: Time
    fingerprint: str
    access_token: str | None = None
    refresh_token: str | None = None
    note: str = ""


class LoginOutcome(LoginView):
    """``reused``: the secret had been used before, so the login has ended. For the edge, which says it."""

    state: Literal["renewed", "reused"] = "renewed"


class LoginRenewed(Changed):
    """Told each time. ``repeated``: the same request once more, whose answer had got lost."""

    session_id: int
    username: str
    repeated: bool = False


class LoginReused(Open):
    """Somebody came with a secret that had been used: it is in two hands, and nobody knows which is the person's.

    ``address`` is empty since events don't say any; the audit log has it with the command that caused this.
    """

    session_id: int
    username: str
    used_at: Time
    address: str = ""


# Without routes of their own: the edge's `/api/logins` makes the secrets, and renewing is asked without a token.
open_login = Command(
    "gateway.login.open",
    body=LoginSealed,
    result=LoginView,
    permission="me:write",
    errors=(Forbidden, Conflict),
    summary="Sign a program in",
    about="{session_id}",
    sited=False,
)
renew_login = Command(
    "gateway.login.renew",
    body=LoginRenewSealed,
    result=LoginOutcome,
    permission="me:write",
    errors=(Unauthorized, Conflict),
    summary="Give a program the next token of its login",
    about="{session_id}",
    sited=False,
)
login_renewed = Event("gateway.login.renewed", data=LoginRenewed, summary="A login of a program was renewed")
login_reused = Event(
    "gateway.login.reused",
    data=LoginReused,
    summary="A secret that renews a login came a second time, so the login has ended",
)
