"""Runs: a gate judges the facts, and its verdict is stored and told."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field, computed_field

from libs.common.contracts.base import (
    GET,
    POST,
    Command,
    Event,
    Json,
    Model,
    Open,
    Page,
    Query,
    Site,
    Time,
    Token,
)
from libs.common.contracts.names import ArtifactDigest, Line, LineFilter, Subject, Version
from libs.common.problems import Invalid, NotFound

Decision = Literal["go", "no_go"]
RunStatus = Literal["success", "warning", "critical"]
CountedStatus = Literal["pass", "fail", "warning"]
RuleStatus = Literal["pass", "fail", "warning", "waived", "shadow"]
VerdictWord = Literal["GO", "GO_WITH_WARNINGS", "NO_GO"]


def verdict_word(decision: Decision, status: RunStatus) -> VerdictWord:
    """A decision and its status in one word."""
    if decision == "no_go":
        return "NO_GO"
    return "GO_WITH_WARNINGS" if status == "warning" else "GO"


def receipt_of(decided_event: UUID) -> str:
    """Where the receipt of a decision's event in the audit log is."""
    return f"/api/audit/events/{decided_event}/receipt"


class GateTarget(Model):
    """What to judge. A gate over a site takes only its name; a gate over software wants subject and version."""

    gate: Token = Field(description="The gate's name, such as release")
    subject: Subject | None = None
    version: Version | None = None
    line: Line | None = None
    artifact_digest: ArtifactDigest | None = None


class WaiverUsed(Open):
    """Why a rule does not count, by whose word, until when. ``fingerprint`` "": all of the rule."""

    waiver_id: int
    fingerprint: str = ""
    reason: str
    issue: str = ""
    requested_by: str
    approved_by: str
    ends_at: Time


class AcceptedUsed(Open):
    """An accepted baseline without which a rule would count as failed, and how many findings and tests it met."""

    accepted_id: int
    finding_count: int
    vanished_count: int
    begins_at: Time
    ends_at: Time
    reason: str
    issue: str = ""
    requested_by: str
    approved_by: str


class Hold(Open):
    """What forbids GO beside the rules; ``until`` null: until a person ends it."""

    kind: str
    message: str
    until: Time | None = None


class ApprovalShown(Open):
    """Somebody's approval. ``person``: whom it counts as. ``void``: why it does not count, empty if it does."""

    approval_id: int
    actor: str
    person: str
    given_at: Time
    void: str = ""


class OverrideUsed(Open):
    """Why it is GO although it would be NO-GO, by whose word, until when. ``against``: what forbids GO.

    Unless ``confirmed_by`` somebody else, it is over after 24 hours.
    """

    override_id: int
    run_id: int
    given_by: str
    given_at: Time
    until: Time
    reason: str
    issue: str
    confirmed_by: str | None
    against: list[str]


class RuleResult(Open):
    """One rule's verdict: ``message`` is a sentence; when not passed it holds the observed and the wanted value.

    ``status`` is what counts, ``passed`` what the facts say: a rule in ``shadow`` is judged and never counted.
    ``notes``: what was odd in the reports that it read, each after the report's part. ``has_evidence``: all that the
    rule reads was there, whole, young and readable; if not, something new may turn it. ``waivers`` and
    ``accepted``: why a rule that has not passed does not count (status ``waived``).
    """

    id: str
    status: RuleStatus
    required: bool
    passed: bool
    weight: float
    message: str
    observed: str = ""
    wanted: str = ""
    detail: Json = {}
    facts_used: list[int] = []
    baseline: str | None = None
    owner_role: str = ""
    sla_hours: int = 24
    action: str = ""
    notes: list[str] = []
    has_evidence: bool = True
    waivers: list[WaiverUsed] = []
    accepted: list[AcceptedUsed] = []
    passes_at: Time | None = Field(None, description="When it will pass by the clock alone, if nothing else changes")


class GateSummary(Open):
    total_rules: int
    required_rules: int
    passed_rules: int
    failure_count: int
    warning_count: int
    weighted_total: float
    weighted_passed: float
    weighted_score_percent: float


class GateRun(Open):
    """A stored verdict. ``run_number`` counts per gate, site and subject; later numbers replace earlier ones of a line.

    ``line``: which versions of the subject it was compared with, "" where nobody draws lines. ``artifact_digest``: of
    what was judged, as it was asked for, else as ``artifact_signal_id``, the newest signal of the version that names
    one, says; "" where none does.

    ``reasons``: a sentence for each thing that forbids GO. ``next_change_at``: when a rule that passes will be stale, a
    waiver ends, a freeze begins or a rule that warns will fail. ``holds``: halts and freezes in force,
    and approvals that are pending.
    ``unused_waivers``: numbers of waivers in force that nothing needed. ``policy_version``: of the policy in force
    everywhere (0: the file), ``site_policy_version``: of the site's own beside it (0: it had none).
    ``evidence_sha256``: what an approver names, so that it is this and nothing else that is approved; ``approvals``:
    those that were given, where the policy wants any. ``labels``: of the version. ``override``: an emergency override
    by which it is GO.
    ``valid_until``: until when a GO holds at the most, by what is known then. ``capsule_sha256``: of the body of its
    capsule; none for runs of before there were capsules. ``receipt``: where the proof lies that the event of this
    decision, which names that capsule, stands in the audit log.
    """

    run_id: int
    gate: str
    site: str
    subject: str
    version: str
    line: str = ""
    artifact_digest: str = ""
    artifact_signal_id: int | None = None
    run_number: int
    trigger: str
    decision: Decision
    status: RunStatus
    decided_at: Time
    summary: GateSummary
    rules: list[RuleResult]
    reasons: list[str] = []
    policy_digest: str
    policy_version: int = 0
    site_policy_version: int = 0
    capsule_sha256: str | None = None
    baseline_run: int | None = None
    next_change_at: Time | None = None
    valid_until: Time | None = None
    holds: list[Hold] = []
    unused_waivers: list[int] = []
    evidence_sha256: str | None = None
    approvals: list[ApprovalShown] = []
    labels: list[str] = []
    override: OverrideUsed | None = None

    decided_event: UUID | None = None

    @computed_field(description="GO, also with warnings, or not")  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> VerdictWord:
        """Decision and status in one word."""
        return verdict_word(self.decision, self.status)

    @computed_field(description="The receipt of this decision's event in the audit log")  # type: ignore[prop-decorator]
    @property
    def receipt(self) -> str | None:
        """Its address; None for a run of before its event was noted."""
        return receipt_of(self.decided_event) if self.decided_event else None


class RunFilter(Model):
    gate: Token = Field(description="The gate's name, such as release")
    subject: Subject | None = None
    version: Version | None = None
    line: LineFilter | None = None
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(20, ge=1, le=100, description="How many at the most")


class RunKey(Model):
    gate: Token = Field(description="The gate's name, such as release")
    run_id: int = Field(ge=1, le=2**63 - 1, description="The run's number")


class GateDecided(Open):
    """``run_number`` orders decisions of one (gate, site, subject): of a ``line``, a consumer ignores numbers it has
    passed.
    """

    run_id: int
    gate: str
    site: Site
    subject: str
    version: str
    line: str = ""
    artifact_digest: str = ""
    run_number: int
    trigger: str
    decision: Decision
    status: RunStatus
    decided_at: Time
    summary: GateSummary
    rules: list[RuleResult]
    reasons: list[str] = []
    holds: list[Hold] = []
    unused_waivers: list[int] = []
    command_id: UUID | None = None
    capsule_sha256: str | None = None
    evidence_sha256: str | None = None
    approvals: list[ApprovalShown] = []
    labels: list[str] = []
    override: OverrideUsed | None = None

    @computed_field(description="GO, also with warnings, or not")  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> VerdictWord:
        """Decision and status in one word."""
        return verdict_word(self.decision, self.status)


run_gate = Command(
    "governance.gate.run",
    about="{run_id}",
    body=GateTarget,
    result=GateRun,
    permission="gate:run",
    http=POST("/api/gates/{gate}/runs", status=201),
    errors=(NotFound, Invalid),
    summary="Judge the facts now and store the verdict",
)
list_runs = Query(
    "governance.runs.list",
    params=RunFilter,
    result=Page[GateRun],
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs"),
    errors=(NotFound, Invalid),
    summary="List a gate's verdicts, newest first",
)
get_run = Query(
    "governance.runs.get",
    params=RunKey,
    result=GateRun,
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs/{run_id}"),
    errors=(NotFound,),
    summary="Show a verdict",
)


class GateRevoked(Open):
    """The GO of ``revoked_run_id`` holds no more. ``run_id``: the run that found it out, none where only time did."""

    gate: str
    site: Site
    subject: str
    version: str
    line: str = ""
    artifact_digest: str = ""
    revoked_run_id: int
    run_id: int | None
    revoked_at: Time
    reasons: list[str]


gate_revoked = Event("governance.gate.revoked", data=GateRevoked, summary="A GO holds no more")
gate_decided = Event("governance.gate.decided", data=GateDecided, summary="A gate judged and its verdict was stored")
