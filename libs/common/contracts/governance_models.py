"""The shapes that governance speaks in; the operations themselves are declared in `governance`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from libs.common.contracts.base import Json, Model, Open, Site, Time, Token

Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]
Part = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
Decision = Literal["go", "no_go"]
RunStatus = Literal["success", "warning", "critical"]
RuleStatus = Literal["pass", "fail", "warning"]
ReportFormat = Literal["junit", "cobertura", "sarif", "alertmanager"]
MAX_SIGNALS = 500


class OutsideEvent(Model):
    """A CloudEvent as another system sent it. Its id is unique with its source, and never an id of ours."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    type: Kind
    subject: Token | None = None
    version: Version | None = None
    part: Part | None = None
    time: Time | None = None
    data: Any = None


class SignalRecord(Model):
    """``subject`` and ``version`` count for events that don't say their own."""

    subject: Token | None = None
    version: Version | None = None
    signals: list[OutsideEvent] = Field(min_length=1, max_length=MAX_SIGNALS)


class ReportRecord(Model):
    """A report as a tool wrote it; ``content_zlib_base64`` is its bytes, packed by the edge."""

    format: ReportFormat
    subject: Token | None = None
    version: Version | None = None
    part: Part | None = Field(None, description="Which of several reports of a kind this is, such as unit")
    source: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    content_zlib_base64: str


class SignalReceipt(Open):
    """What became of one signal. ``judged`` false: no policy knows the kind. ``valid`` false: ``problems`` say why."""

    signal_id: int
    kind: str
    part: str
    subject: str
    version: str
    judged: bool
    valid: bool
    duplicate: bool
    problems: list[str] = []


class SignalReceipts(Open):
    count: int
    recorded: int
    items: list[SignalReceipt]


class SignalFilter(Model):
    kind: Kind | None = None
    subject: Token | None = None
    version: Version | None = None
    judged: bool | None = None
    cursor: str | None = Field(None, max_length=40)
    limit: int = Field(50, ge=1, le=200)


class Signal(Open):
    signal_id: int
    site: str
    source: str
    event_id: str
    kind: str
    part: str
    subject: str
    version: str
    time: Time
    received_at: Time
    judged: bool
    valid: bool
    problems: list[str]
    data: Any = None


class SignalKey(Model):
    signal_id: int = Field(ge=1, le=2**63 - 1)


class SignalRecorded(Open):
    signal_id: int
    kind: str
    part: str
    subject: str
    version: str
    source: str
    event_id: str
    time: Time
    judged: bool
    valid: bool
    problems: list[str] = []


class SignalsRepeated(Open):
    """``signal_ids`` are those under which the repeated signals were first recorded."""

    count: int
    signal_ids: list[int]


class GateName(Model):
    gate: Token


class RuleInfo(Open):
    id: str
    title: str
    kind: str
    required: bool
    weight: float
    condition: str
    max_age_hours: float | None
    owner_role: str
    sla_hours: int
    action: str


class GateInfo(Open):
    gate: str
    title: str
    description: str
    subject_mode: Literal["site", "version"]
    allow_warning: bool
    min_weighted_score_percent: float
    policy_digest: str
    rules: list[RuleInfo]


class GateTarget(Model):
    """What to judge. A gate over a site takes neither; a gate over software takes both."""

    gate: Token
    subject: Token | None = None
    version: Version | None = None


class RuleResult(Open):
    """One rule's verdict: ``message`` is a sentence; when not passed it holds the observed and the wanted value."""

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
    """A stored verdict. ``run_number`` counts per gate, site and subject; later numbers replace earlier ones.

    ``reasons``: a sentence for each thing that forbids GO. ``next_change_at``: when a rule that passes will be stale.
    """

    run_id: int
    gate: str
    site: str
    subject: str
    version: str
    run_number: int
    trigger: str
    decision: Decision
    status: RunStatus
    decided_at: Time
    summary: GateSummary
    rules: list[RuleResult]
    reasons: list[str] = []
    policy_digest: str
    baseline_run: int | None = None
    next_change_at: Time | None = None


class RunFilter(Model):
    gate: Token
    subject: Token | None = None
    version: Version | None = None
    cursor: str | None = Field(None, max_length=40)
    limit: int = Field(20, ge=1, le=100)


class RunKey(Model):
    gate: Token
    run_id: int = Field(ge=1, le=2**63 - 1)


class OpsRule(Open):
    """A rule's verdict with the keys that callers of the facility system know."""

    id: str
    required: bool
    status: RuleStatus
    passed: bool
    weight: float
    message: str
    detail: Json


class OpsGate(Open):
    """The live snapshot that callers of the facility system read (no run is stored)."""

    generated_at: Time
    decision: Decision
    summary: GateSummary
    rules: list[OpsRule]
    policy: Json


class OpsGateRun(OpsGate):
    """The same with the job envelope."""

    run_id: int
    job_name: Literal["ops_governance_gate"] = "ops_governance_gate"
    trigger: str
    status: RunStatus
    started_at: Time
    finished_at: Time


class HistoryLimit(Model):
    limit: int = Field(20, ge=1, le=100)


class OpsGateRow(Open):
    run_id: int
    status: RunStatus
    decision: Decision
    failure_count: int
    warning_count: int
    finished_at: Time


class OpsGateHistory(Open):
    generated_at: Time
    count: int
    items: list[OpsGateRow]


class PlanOptions(Model):
    include_warnings: bool = True
    max_items: int = Field(30, ge=1, le=200)


class PlanItem(Open):
    item_id: str
    rule_id: str
    rule_status: RuleStatus
    required: bool
    priority: int
    owner_role: str
    sla_hours: int
    due_at: Time
    action: str
    reason: str
    detail: Json


class PlanSummary(Open):
    total_candidates: int
    fail_count: int
    warning_count: int
    item_count: int
    critical_path_count: int


class Plan(Open):
    generated_at: Time
    gate_generated_at: Time
    decision: Decision
    include_warnings: bool
    max_items: int
    summary: PlanSummary
    items: list[PlanItem]


class GatePlanOptions(GateTarget):
    include_warnings: bool = True
    max_items: int = Field(30, ge=1, le=200)


class GateDecided(Open):
    """``run_number`` orders decisions of one (gate, site, subject): a consumer ignores numbers it has passed."""

    run_id: int
    gate: str
    site: Site
    subject: str
    version: str
    run_number: int
    trigger: str
    decision: Decision
    status: RunStatus
    decided_at: Time
    summary: GateSummary
    rules: list[RuleResult]
    reasons: list[str] = []
    command_id: UUID | None = None
