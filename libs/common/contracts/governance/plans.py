"""Plans: who must do what by when, so that a gate can say GO."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Csv, Json, Model, Open, Query, Time
from libs.common.contracts.governance.runs import CountedStatus, Decision, GateTarget
from libs.common.problems import Invalid, NotFound


class PlanOptions(Model):
    include_warnings: bool = Field(True, description="With the rules that only warn")
    max_items: int = Field(30, ge=1, le=200, description="How many items at the most")


class PlanItem(Open):
    item_id: str
    rule_id: str
    rule_status: CountedStatus
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
    include_warnings: bool = Field(True, description="With the rules that only warn")
    max_items: int = Field(30, ge=1, le=200, description="How many items at the most")


PLAN_COLUMNS = (
    "item_id",
    "rule_id",
    "rule_status",
    "required",
    "priority",
    "owner_role",
    "sla_hours",
    "due_at",
    "action",
    "reason",
)
get_plan = Query(
    "governance.plan.get",
    params=GatePlanOptions,
    result=Plan,
    permission="remediation:read",
    http=GET(
        "/api/gates/{gate}/remediation",
        csv=Csv("items", PLAN_COLUMNS, "remediation"),
    ),
    errors=(NotFound, Invalid),
    summary="The remediation plan of a gate as it stands now",
)
ops_plan = Query(
    "governance.ops_plan.get",
    params=PlanOptions,
    result=Plan,
    permission="remediation:read",
    http=GET(
        "/api/ops/governance/gate/remediation",
        csv=Csv("items", PLAN_COLUMNS, "ops-governance-remediation"),
        csv_path="/api/ops/governance/gate/remediation/csv",
    ),
    errors=(NotFound,),
    summary="The remediation plan of the operations gate as it stands now",
)
