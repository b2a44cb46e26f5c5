"""Who the caller is."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import Http, Model, Open, Query, Time
from libs.common.contracts.gateway.users import Role


class CallerKey(Model):
    """Filled in by the edge: the token that the caller came with."""

    token_id: int = Field(ge=1, le=2**63 - 1)


class Me(Open):
    username: str
    role: Role
    sites: list[str]
    permissions: list[str]
    token_id: int
    expires_at: Time


get_me = Query(
    "gateway.me.get",
    params=CallerKey,
    result=Me,
    permission="me:read",
    http=Http("GET", "/api/me", seal="caller"),
    summary="Who you are, what you may do, and where",
    sited=False,
)
