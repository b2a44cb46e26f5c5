"""Delegations: somebody who is away has approvals given in their stead, until a day."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

MAX_DAYS = 90
MAX_OPEN = 20  # of one person at one site


class Delegation(Open):
    """``is_able``: whoever delegates may still approve at the site. ``in_force``: it counts now."""

    delegation_id: int
    site: str
    from_user: str
    to_user: str
    begins_at: Time
    ends_at: Time
    reason: str
    delegated_at: Time
    role: str
    is_able: bool
    ended_by: str | None = None
    ended_at: Time | None = None
    end_reason: str | None = None
    in_force: bool = False


class DelegationRequest(Model):
    to_user: Token = Field(description="Who stands in for you")
    begins_at: Time | None = Field(None, description="From when on; else from now")
    ends_at: Time = Field(description=f"Until when, at most {MAX_DAYS} days from now")
    reason: Reason = Field(description="Why, in a line")


class SealedDelegation(DelegationRequest):
    """What travels on the bus: the edge adds the caller's role."""

    caller_role: str


class DelegationKey(Model):
    delegation_id: int = Field(ge=1, le=2**63 - 1, description="The delegation's number")


class DelegationEnd(DelegationKey):
    reason: Reason = Field(description="Why; it stays with the delegation")


class DelegationFilter(Model):
    from_user: Token | None = Field(None, description="Only of this user")
    to_user: Token | None = Field(None, description="Only to this user")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class DelegationEnded(Delegation, Changed):
    """A delegation that was ended."""


delegate = Command(
    "governance.delegation.give",
    about="{delegation_id}",
    body=SealedDelegation,
    result=Delegation,
    permission="gate:approve",
    http=POST("/api/delegations", status=201, seal="delegator"),
    errors=(Invalid, Conflict),
    summary="Have somebody approve in your stead until a day",
)
end_delegation = Command(
    "governance.delegation.end",
    body=DelegationEnd,
    result=Delegation,
    permission="gate:approve",
    http=POST("/api/delegations/{delegation_id}/end"),
    errors=(NotFound, Conflict, Forbidden),
    summary="End a delegation that you gave, or that was given to you",
)
list_delegations = Query(
    "governance.delegations.list",
    params=DelegationFilter,
    result=Page[Delegation],
    permission="gate:read",
    http=GET("/api/delegations"),
    errors=(Invalid,),
    summary="List delegations, newest first",
)
delegation_given = Event("governance.delegation.given", data=Delegation, summary="Somebody has others approve for them")
delegation_ended = Event("governance.delegation.ended", data=DelegationEnded, summary="A delegation was ended")
