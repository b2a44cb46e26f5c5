"""What asks for a second factor: one policy for the whole installation, published version by version."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from libs.common.contracts.base import Model
from libs.common.contracts.versions import Document

MAX_NAMES = 100
MAX_GRACE_HOURS = 90 * 24
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.:-]{1,80}$")]


Said = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]


class SecondFactorPolicy(Model):
    """``required_of``: who must have one; ``step_up``: operations before which a session shows it anew."""

    required_of: Annotated[list[Name], Field(max_length=MAX_NAMES)] = Field(
        [],
        description="Who must have a second factor: roles, such as owner, or permissions, such as identity:write, for "
        "all who hold one anywhere",
    )
    grace_hours: int = Field(
        72,
        ge=0,
        le=MAX_GRACE_HOURS,
        description="How long who has none may go on from when it is noted; then a session does nothing but begin one",
    )
    provider_amr: Annotated[list[Said], Field(max_length=20)] = Field(
        [], description="A provider's sign-in with one of these methods (amr) is enough, such as mfa, otp, hwk"
    )
    provider_acr: Annotated[list[Said], Field(max_length=20)] = Field(
        [], description="So is one of these classes (acr)"
    )
    step_up: Annotated[list[Name], Field(max_length=MAX_NAMES)] = Field(
        [],
        description="Before what a session shows a fresh code: operations, such as governance.override.give, or "
        "permissions, such as gate:override, for all that takes one",
    )
    step_up_minutes: int = Field(15, ge=1, le=720, description="How long a code that was shown is fresh")
    tokens: Literal["allowed", "accounts", "refused"] = Field(
        "allowed",
        description="Who may do these with a token, which shows no code: any token, those of service accounts only, or "
        "none",
    )

    @field_validator("step_up", "required_of", "provider_amr", "provider_acr")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("a name stands there twice")
        return names


SECOND_FACTOR_POLICY: Document[SecondFactorPolicy] = Document(
    "gateway",
    "second_factor_policy",
    content=SecondFactorPolicy,
    default=SecondFactorPolicy(),
    path="/api/admin/second-factor-policy",
    what="the policy of second factors",
    read="token:read",
    write="identity:write",
    sited=False,
)
