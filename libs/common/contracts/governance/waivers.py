"""Waivers: a rule, or one finding, does not count for a while, by the word of two persons."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.issues import IssueId
from libs.common.contracts.names import Name, Subject, Version
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

WaiverState = Literal["requested", "approved", "declined", "withdrawn", "revoked"]
MAX_DAYS = 90
MAX_DAYS_WITHOUT_EVIDENCE = 7
MAX_OPEN_WAIVERS = 200  # of one gate and subject


class Waiver(Open):
    """``in_force``: it counts now. ``begins_at`` is when it was approved. ``version`` and ``fingerprint`` "": all."""

    waiver_id: int
    site: str
    gate: str
    subject: str
    version: str
    rule_id: str
    fingerprint: str
    without_evidence: bool
    reason: str
    issue: str
    state: WaiverState
    requested_by: str
    requested_at: Time
    begins_at: Time | None = None
    ends_at: Time
    decided_by: str | None = None
    decided_at: Time | None = None
    decision_reason: str | None = None
    ended_by: str | None = None
    ended_at: Time | None = None
    end_reason: str | None = None
    in_force: bool = False


class WaiverRequest(Model):
    gate: Token = Field(description="The gate's name, such as release")
    rule_id: str = Field(min_length=1, max_length=100, description="The rule that is not to count")
    subject: Subject | None = None
    version: Version | None = Field(None, description="This version only; else every one")
    fingerprint: Name | None = Field(None, description="One finding of the rule only, by its fingerprint")
    without_evidence: bool = Field(
        False,
        description=f"Also if the rule's facts are missing, stale or broken; {MAX_DAYS_WITHOUT_EVIDENCE} days at most",
    )
    ends_at: Time = Field(description=f"When it ends, at most {MAX_DAYS} days from now, or as the policy says")
    reason: Reason = Field(description="Why this is acceptable, in a line; every verdict shows it")
    issue: IssueId | None = Field(
        None, description="The issue that ends it for good, such as OPS-12 or #12; a policy may demand one"
    )


class WaiverKey(Model):
    waiver_id: int = Field(ge=1, le=2**63 - 1, description="The waiver's number")


class WaiverWord(WaiverKey):
    reason: Reason = Field(description="Why, in a line; it stays with the waiver")


class WaiverFilter(Model):
    gate: Token | None = Field(None, description="Of this gate only")
    subject: Subject | None = None
    state: WaiverState | None = Field(None, description="Only those in this state")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class WaiverChanged(Waiver, Changed):
    """A waiver that was decided, or ended before its day."""


request_waiver = Command(
    "governance.waiver.request",
    about="{waiver_id}",
    body=WaiverRequest,
    result=Waiver,
    permission="exception:write",
    http=POST("/api/waivers", status=201),
    errors=(NotFound, Invalid, Conflict),
    summary="Ask that a rule, or one finding, does not count until a day",
)
approve_waiver = Command(
    "governance.waiver.approve",
    body=WaiverWord,
    result=Waiver,
    permission="exception:approve",
    http=POST("/api/waivers/{waiver_id}/approve"),
    errors=(NotFound, Conflict, Forbidden, Invalid),
    summary="Approve a waiver that somebody else asked for",
)
decline_waiver = Command(
    "governance.waiver.decline",
    body=WaiverWord,
    result=Waiver,
    permission="exception:approve",
    http=POST("/api/waivers/{waiver_id}/decline"),
    errors=(NotFound, Conflict),
    summary="Decline a waiver that was asked for",
)
withdraw_waiver = Command(
    "governance.waiver.withdraw",
    body=WaiverWord,
    result=Waiver,
    permission="exception:write",
    http=POST("/api/waivers/{waiver_id}/withdraw"),
    errors=(NotFound, Conflict, Forbidden),
    summary="End a waiver that one has asked for oneself",
)
revoke_waiver = Command(
    "governance.waiver.revoke",
    body=WaiverWord,
    result=Waiver,
    permission="exception:approve",
    http=POST("/api/waivers/{waiver_id}/revoke"),
    errors=(NotFound, Conflict),
    summary="End a waiver that is in force",
)
list_waivers = Query(
    "governance.waivers.list",
    params=WaiverFilter,
    result=Page[Waiver],
    permission="gate:read",
    http=GET("/api/waivers"),
    errors=(Invalid,),
    summary="List waivers, newest first",
)
get_waiver = Query(
    "governance.waivers.get",
    params=WaiverKey,
    result=Waiver,
    permission="gate:read",
    http=GET("/api/waivers/{waiver_id}"),
    errors=(NotFound,),
    summary="Show a waiver",
)
waiver_requested = Event("governance.waiver.requested", data=Waiver, summary="Somebody asked for a waiver")
waiver_approved = Event("governance.waiver.approved", data=WaiverChanged, summary="A waiver is in force")
waiver_declined = Event("governance.waiver.declined", data=WaiverChanged, summary="A waiver was declined")
waiver_withdrawn = Event(
    "governance.waiver.withdrawn", data=WaiverChanged, summary="Who asked for a waiver has ended it"
)
waiver_revoked = Event("governance.waiver.revoked", data=WaiverChanged, summary="A waiver was ended before its day")
