"""Accepted baselines: findings and vanished tests that are there now may be there until a day, by the word of two."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.issues import IssueId
from libs.common.contracts.names import Line, Subject, Version
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

BaselineState = Literal["requested", "approved", "declined", "withdrawn", "revoked"]
MAX_DAYS = 90
MAX_OPEN_BASELINES = 20  # of one gate, subject and line


class BaselinePart(Open):
    """How much of one part is accepted."""

    kind: str
    part: str
    finding_count: int
    vanished_count: int


class Baseline(Open):
    """``in_force``: it counts now. ``finding_count`` and ``vanished_count``: as they were accepted; ``parts``: what is
    left of them, since what was gone at a GO is new when it returns. ``version``: whose findings they were.
    """

    accepted_id: int
    site: str
    gate: str
    subject: str
    line: str
    version: str
    finding_count: int
    vanished_count: int
    parts: list[BaselinePart]
    reason: str
    issue: str
    state: BaselineState
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


class BaselineRequest(Model):
    gate: Token = Field(description="The gate's name, such as release")
    subject: Subject | None = Field(None, description="Whose findings")
    version: Version | None = Field(None, description="The version whose findings and vanished tests they are now")
    line: Line | None = Field(None, description="Its line, where the policy does not tell it from the version")
    ends_at: Time = Field(description=f"When it ends, at most {MAX_DAYS} days from now, or as the policy says")
    reason: Reason = Field(description="Why they may be there, in a line; every verdict shows it")
    issue: IssueId | None = Field(None, description="The issue that ends it for good; a policy may demand one")


class BaselineKey(Model):
    accepted_id: int = Field(ge=1, le=2**63 - 1, description="The accepted baseline's number")


class BaselineWord(BaselineKey):
    reason: Reason = Field(description="Why, in a line; it stays with the baseline")


class BaselineFilter(Model):
    gate: Token | None = Field(None, description="Of this gate only")
    subject: Subject | None = None
    state: BaselineState | None = Field(None, description="Only those in this state")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class BaselineChanged(Baseline, Changed):
    """A baseline that was decided, or ended before its day."""


request_baseline = Command(
    "governance.baseline.request",
    about="{accepted_id}",
    body=BaselineRequest,
    result=Baseline,
    permission="exception:write",
    http=POST("/api/gates/{gate}/baselines", status=201),
    errors=(NotFound, Invalid, Conflict),
    summary="Ask that the findings and vanished tests of now are accepted until a day",
)
approve_baseline = Command(
    "governance.baseline.approve",
    body=BaselineWord,
    result=Baseline,
    permission="exception:approve",
    http=POST("/api/baselines/{accepted_id}/approve"),
    errors=(NotFound, Conflict, Forbidden, Invalid),
    summary="Approve a baseline that somebody else asked for",
)
decline_baseline = Command(
    "governance.baseline.decline",
    body=BaselineWord,
    result=Baseline,
    permission="exception:approve",
    http=POST("/api/baselines/{accepted_id}/decline"),
    errors=(NotFound, Conflict),
    summary="Decline a baseline that was asked for",
)
withdraw_baseline = Command(
    "governance.baseline.withdraw",
    body=BaselineWord,
    result=Baseline,
    permission="exception:write",
    http=POST("/api/baselines/{accepted_id}/withdraw"),
    errors=(NotFound, Conflict, Forbidden),
    summary="End a baseline that one has asked for oneself",
)
revoke_baseline = Command(
    "governance.baseline.revoke",
    body=BaselineWord,
    result=Baseline,
    permission="exception:approve",
    http=POST("/api/baselines/{accepted_id}/revoke"),
    errors=(NotFound, Conflict),
    summary="End a baseline that is in force",
)
list_baselines = Query(
    "governance.baselines.list",
    params=BaselineFilter,
    result=Page[Baseline],
    permission="gate:read",
    http=GET("/api/baselines"),
    errors=(Invalid,),
    summary="List accepted baselines, newest first",
)
get_baseline = Query(
    "governance.baselines.get",
    params=BaselineKey,
    result=Baseline,
    permission="gate:read",
    http=GET("/api/baselines/{accepted_id}"),
    errors=(NotFound,),
    summary="Show an accepted baseline",
)
baseline_requested = Event("governance.baseline.requested", data=Baseline, summary="Somebody asked for a baseline")
baseline_approved = Event("governance.baseline.approved", data=BaselineChanged, summary="A baseline is accepted")
baseline_declined = Event("governance.baseline.declined", data=BaselineChanged, summary="A baseline was declined")
baseline_withdrawn = Event(
    "governance.baseline.withdrawn", data=BaselineChanged, summary="Who asked for a baseline ended it"
)
baseline_revoked = Event(
    "governance.baseline.revoked", data=BaselineChanged, summary="A baseline was ended before its day"
)
