"""The operations gate, in the shapes that callers of the facility system know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Json, Model, Nothing, Open, Query, Time
from libs.common.contracts.governance.runs import Decision, GateSummary, RuleStatus, RunStatus
from libs.common.problems import NotFound

GATE_JOB = "ops_governance_gate"


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
    limit: int = Field(20, ge=1, le=100, description="How many at the most")


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


ops_gate = Query(
    "governance.ops_gate.get",
    params=Nothing,
    result=OpsGate,
    permission="gate:read",
    http=GET("/api/ops/governance/gate"),
    errors=(NotFound,),
    summary="Judge the operations gate now without storing a run",
)
ops_gate_run = Command(
    "governance.ops_gate.run",
    about="{run_id}",
    kind="governance.gate",
    body=Nothing,
    result=OpsGateRun,
    permission="gate:run",
    http=POST("/api/ops/governance/gate/run"),
    errors=(NotFound,),
    summary="Run the operations gate and store the verdict",
    job=GATE_JOB,
)
ops_gate_latest = Query(
    "governance.ops_gate.latest",
    params=Nothing,
    result=OpsGateRun,
    permission="gate:read",
    http=GET("/api/ops/governance/gate/latest"),
    errors=(NotFound,),
    summary="The newest run of the operations gate",
)
ops_gate_history = Query(
    "governance.ops_gate.history",
    params=HistoryLimit,
    result=OpsGateHistory,
    permission="gate:read",
    http=GET("/api/ops/governance/gate/history"),
    errors=(NotFound,),
    summary="Runs of the operations gate, newest first",
)
