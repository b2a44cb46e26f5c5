"""How long people stay signed in: one policy for the whole installation, published version by version."""

from __future__ import annotations

from pydantic import Field, model_validator

from libs.common.contracts.base import Model
from libs.common.contracts.versions import Document

MAX_LIFE_HOURS = 720
MAX_LOGIN_DAYS = 365


class SessionPolicy(Model):
    """A session ends when nobody used it for a while, and after its longest life whatever is done with it.

    Logins are sessions of programs: they live longer, since their token lives for minutes and is renewed.
    """

    idle_minutes: int = Field(30, ge=1, le=MAX_LIFE_HOURS * 60, description="A session that nobody used so long ends")
    life_hours: int = Field(12, ge=1, le=MAX_LIFE_HOURS, description="How long a session lasts at the most")
    max_of_person: int = Field(20, ge=1, le=100, description="A person's open sessions; the least used go for new ones")

    login_idle_hours: int = Field(
        168, ge=1, le=MAX_LOGIN_DAYS * 24, description="A program's login that nobody used so long ends"
    )
    login_life_days: int = Field(30, ge=1, le=MAX_LOGIN_DAYS, description="How long a login lasts at the most")
    access_minutes: int = Field(15, ge=1, le=60, description="How long a login's token works until it is renewed")

    @model_validator(mode="after")
    def _within_reach(self) -> SessionPolicy:
        if self.idle_minutes > self.life_hours * 60:
            raise ValueError(
                f"idle_minutes ({self.idle_minutes}) must be at most life_hours ({self.life_hours}): no session would "
                "ever be idle so long"
            )
        if self.login_idle_hours > self.login_life_days * 24:
            raise ValueError("login_idle_hours must be at most login_life_days: no login would ever be idle so long")
        return self


SESSION_POLICY: Document[SessionPolicy] = Document(
    "gateway",
    "session_policy",
    content=SessionPolicy,
    default=SessionPolicy(),
    path="/api/admin/session-policy",
    what="the policy of sessions",
    read="token:read",
    write="identity:write",
    sited=False,
)
