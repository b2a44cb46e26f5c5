"""Approvals of policies: where the policy in force wants it, persons approve a text before it is published."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.contracts.governance.approvals import ApprovalWanted, GivenApproval, Sha256, YourWord
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, NotFound


class PolicyText(Model):
    gate: Token = Field(description="The gate's name, such as release")
    digest: Sha256 = Field(description="The SHA-256 of the text, as its draft or its version shows it")


class PolicyWord(PolicyText):
    reason: Reason = Field(description="Why, in a line; it stays with the approval")
    on_behalf_of: Token | None = Field(None, description="Somebody who is away and has delegated to you")


class SealedPolicyWord(PolicyWord):
    """What travels on the bus: the edge adds the caller's role."""

    caller_role: str


class PolicyApprovals(Open):
    """Where the approvals of a text stand. ``in_force_digest``: of the policy that wants them; another one voids them.

    ``pending``: what is still missing; empty: it can be published. ``your_word``: of the person who asks; null in the
    answer to an order.
    """

    gate: str
    site: str
    digest: str
    in_force_digest: str
    wanted: list[ApprovalWanted]
    approvals: list[GivenApproval]
    pending: list[str]
    your_word: YourWord | None = None


class PolicyApproved(Open):
    approval_id: int
    gate: str
    site: str
    digest: str
    username: str
    person: str
    role: str
    groups: list[str]
    reason: str
    given_at: Time


approve_policy = Command(
    "governance.policies.approve",
    body=SealedPolicyWord,
    result=PolicyApprovals,
    permission="gate:approve",
    http=POST("/api/policies/{gate}/approvals", status=201, seal="policy_approver"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Approve a text of a policy by its digest, so that it can be published",
)
show_policy_approvals = Query(
    "governance.policies.approvals",
    params=PolicyText,
    result=PolicyApprovals,
    permission="policy:read",
    http=GET("/api/policies/{gate}/approvals"),
    errors=(NotFound,),
    summary="Who has approved a text of a policy, and who is still wanted",
)
policy_approved = Event(
    "governance.policies.approved", data=PolicyApproved, summary="Somebody approved a policy's text"
)
