"""Approvals: persons say that a candidate may go, each of the very evidence that they saw."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.governance.runs import GateRun, GateTarget
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Literal["approved", "declined"]


class CandidateWord(GateTarget):
    """What a person says of a candidate. ``evidence_sha256`` is that of the run, or of the state, that they saw."""

    evidence_sha256: Sha256 = Field(description="The SHA-256 of the evidence, as a run shows it")
    reason: Reason = Field(description="Why, in a line; every verdict shows it")
    on_behalf_of: Token | None = Field(None, description="Somebody who is away and has delegated to you")


class SealedWord(CandidateWord):
    """What travels on the bus: the edge adds the caller's role."""

    caller_role: str


class ApprovalKey(Model):
    approval_id: int = Field(ge=1, le=2**63 - 1, description="The approval's number")


class ApprovalEnd(ApprovalKey):
    reason: Reason = Field(description="Why; it stays with the approval")


class GivenApproval(Open):
    """A person's word. ``person``: whom it counts as. ``void``: why it does not count now, empty if it does."""

    approval_id: int
    word: Word
    username: str
    person: str
    role: str
    groups: list[str]
    reason: str
    given_at: Time
    evidence_sha256: str
    void: str = ""


class ApprovalWanted(Open):
    """``have`` of ``count`` persons with one of these roles or of one of these groups have approved."""

    count: int
    have: int
    roles: list[str]
    groups: list[str]
    max_age_hours: float | None = None


class YourWord(Open):
    """Whether the word of who asks would be taken now. ``refused``: why not, in a sentence; empty if it would be.

    ``on_behalf_of``: who has delegated to the asker, of whom the word would be taken. Whether the asker holds
    ``gate:approve`` is another matter, and so is whether approving is of any use.
    """

    refused: str = ""
    on_behalf_of: list[str] = []


class Approvals(Open):
    """Where a candidate's approvals stand now. ``evidence_sha256`` is what an approver names.

    ``pending``: a sentence for each thing that is missing. ``excluded``: who can't approve, since they asked for the
    decision or told what it rests on. ``otherwise``: what forbids GO beside approvals, halts and freezes; while there
    is something, approving is refused. ``your_word``: of the person who asks; null in the answer to an order.
    """

    gate: str
    site: str
    subject: str
    line: str = ""
    version: str
    evidence_sha256: str
    wanted: list[ApprovalWanted]
    approvals: list[GivenApproval]
    pending: list[str]
    excluded: list[str]
    otherwise: list[str]
    your_word: YourWord | None = None


class ApprovalSaid(Approvals):
    """``run``: the verdict that became GO by this approval."""

    approval_id: int
    run: GateRun | None = None


class ApprovalTold(Open):
    approval_id: int
    gate: str
    site: str
    subject: str
    version: str
    evidence_sha256: str
    word: Word
    username: str
    person: str
    role: str
    groups: list[str]
    reason: str
    given_at: Time


class ApprovalWithdrawn(ApprovalTold, Changed):
    withdrawn_by: str
    withdrawn_at: Time
    withdraw_reason: str


class ApprovalsGranted(Open):
    """The last approval that was wanted has come. ``persons``: who approved this evidence."""

    gate: str
    site: str
    subject: str
    version: str
    evidence_sha256: str
    persons: list[str]
    granted_at: Time


approve_candidate = Command(
    "governance.approval.give",
    about="{approval_id}",
    body=SealedWord,
    result=ApprovalSaid,
    permission="gate:approve",
    http=POST("/api/gates/{gate}/approvals", status=201, seal="approver"),
    errors=(NotFound, Invalid, Conflict, Forbidden),
    summary="Approve a candidate by the evidence that was seen; the last approval that is wanted runs the gate",
)
decline_candidate = Command(
    "governance.approval.decline",
    about="{approval_id}",
    body=SealedWord,
    result=ApprovalSaid,
    permission="gate:approve",
    http=POST("/api/gates/{gate}/declines", status=201, seal="approver"),
    errors=(NotFound, Invalid, Conflict, Forbidden),
    summary="Decline a candidate: this evidence is not GO until the word is withdrawn",
)
withdraw_approval = Command(
    "governance.approval.withdraw",
    body=ApprovalEnd,
    result=ApprovalWithdrawn,
    permission="gate:approve",
    http=POST("/api/approvals/{approval_id}/withdraw"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Take one's own approval or refusal back; a GO that rests on it is judged again",
)
show_approvals = Query(
    "governance.approvals.show",
    params=GateTarget,
    result=Approvals,
    permission="gate:read",
    http=GET("/api/gates/{gate}/approvals"),
    errors=(NotFound, Invalid),
    summary="Who has approved a candidate, who is still wanted, and the evidence to name",
)
approval_given = Event("governance.approval.given", data=ApprovalTold, summary="Somebody approved a candidate")
approval_declined = Event("governance.approval.declined", data=ApprovalTold, summary="Somebody declined a candidate")
approval_withdrawn = Event(
    "governance.approval.withdrawn", data=ApprovalWithdrawn, summary="Somebody took a word on a candidate back"
)
approval_granted = Event(
    "governance.approval.granted", data=ApprovalsGranted, summary="A candidate has all approvals that it needs"
)
