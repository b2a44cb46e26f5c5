"""How long tokens live: one policy for the whole installation, published version by version."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from libs.common.contracts.base import Model
from libs.common.contracts.versions import Document

MAX_TTL_DAYS = 3650


class TokenPolicy(Model):
    """A token ends at its own end, and earlier where it is idle, or due for rotation and that is required.

    ``rotate_after_days`` must be less than ``max_ttl_days``: a rule that no token can reach is none.
    """

    require_expiry: Literal[True] = Field(True, description="Each token has an end; this can't be switched off")
    max_ttl_days: int = Field(365, ge=2, le=MAX_TTL_DAYS, description="How long a token may live at the most")
    expiry_warning_days: Annotated[list[Annotated[int, Field(ge=1, le=365)]], Field(max_length=5)] = Field(
        [14, 7, 1], description="How many days before its end this is told, the longest first"
    )
    rotate_after_days: int = Field(180, ge=1, le=MAX_TTL_DAYS - 1, description="From this age on a token is due")
    rotate_warning_days: int = Field(7, ge=0, le=365, description="How many days before that age this is told")
    rotation_required: bool = Field(False, description="Whether a token that is due is refused, not only told of")
    max_idle_days: int = Field(90, ge=1, le=MAX_TTL_DAYS, description="A token that nobody used for so long is refused")
    idle_warning_days: int = Field(7, ge=0, le=365, description="How many days before that this is told")
    max_days_without_sign_in: int = Field(
        30,
        ge=1,
        le=MAX_TTL_DAYS,
        description="The tokens of a person who signs in with a provider are refused after so long without a sign-in",
    )
    sign_in_warning_days: int = Field(7, ge=0, le=365, description="How many days before that this is told")
    max_active_per_user: int = Field(100, ge=1, le=1000, description="A user's live tokens; the oldest go for new ones")

    @model_validator(mode="after")
    def _within_reach(self) -> TokenPolicy:
        if self.rotate_after_days >= self.max_ttl_days:
            raise ValueError(
                f"rotate_after_days ({self.rotate_after_days}) must be less than max_ttl_days ({self.max_ttl_days}): "
                "no token would ever reach that age"
            )
        if self.rotate_warning_days >= self.rotate_after_days:
            raise ValueError("rotate_warning_days must be less than rotate_after_days")
        if self.idle_warning_days >= self.max_idle_days:
            raise ValueError("idle_warning_days must be less than max_idle_days")
        if self.sign_in_warning_days >= self.max_days_without_sign_in:
            raise ValueError("sign_in_warning_days must be less than max_days_without_sign_in")
        if self.expiry_warning_days != sorted(set(self.expiry_warning_days), reverse=True):
            raise ValueError("expiry_warning_days must stand from the longest to the shortest, each once")
        return self


TOKEN_POLICY: Document[TokenPolicy] = Document(
    "gateway",
    "token_policy",
    content=TokenPolicy,
    default=TokenPolicy(),
    path="/api/admin/token-policy",
    what="the policy of tokens",
    read="token:read",
    write="identity:write",
    sited=False,
)
