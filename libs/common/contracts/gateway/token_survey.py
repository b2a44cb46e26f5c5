"""A survey of all tokens: which of them somebody should look at, and how many users there are."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import Model, Open, Query, Time

MAX_NAMED = 20


class SurveyWanted(Model):
    """Days and numbers from which on something counts; ``username``: only what is this user's."""

    expiring_days: int = Field(7, ge=1, le=365)
    stale_days: int = Field(14, ge=1, le=365)
    dormant_days: int = Field(30, ge=1, le=365)
    shared_days: int = Field(7, ge=1, le=90)
    shared_addresses: int = Field(10, ge=2, le=100)
    username: str | None = None


class NamedToken(Open):
    """One token that is meant. ``address_count``: from how many addresses it came in the last ``shared_days``."""

    token_id: int
    username: str
    label: str
    created_at: Time
    expires_at: Time
    last_used_at: Time | None
    address_count: int


class Named(Open):
    """How many there are, and the first 20 of them."""

    count: int
    items: list[NamedToken]


class TokenSurvey(Open):
    """Of live tokens of active users; neither the keeper's nor one that was rotated already counts.

    ``rotate_overdue``: as old as `rotate_after_days` of the policy of tokens, and not rotated; ``never_rotated``: of
    those, what is the successor of none, so that its holder has not changed it once. ``dormant``: not used
    for ``dormant_days``, or never since. ``wildcard``: for all sites and bound to nothing; ``wildcard_non_owner``: of
    those, of users who are no owners. ``shared``: came from at least ``shared_addresses`` addresses (of IPv6 the first
    64 bits). ``users_without_second_factor``: who must have one by the policy and has none.
    ``tokens_pass_step_up``: the policy asks sessions for fresh codes, and lets people's tokens do the same without.
    """

    total_users: int
    active_users: int
    active_users_without_token: list[str]
    active_tokens: int
    expiring: Named
    stale: Named
    rotate_overdue: Named
    never_rotated: Named = Named(count=0, items=[])  # gateways of before did not say
    dormant: Named
    wildcard: Named
    wildcard_non_owner: Named
    shared: Named
    users_without_second_factor: list[str] = []
    tokens_pass_step_up: bool = False


survey_tokens = Query("gateway.tokens.survey", params=SurveyWanted, result=TokenSurvey, sited=False)
