"""Gates: which there are, and the policy of each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Model, Nothing, Open, Query, Token
from libs.common.problems import NotFound


class GateName(Model):
    gate: Token = Field(description="The gate's name, such as release")


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
    line_pattern: str = ""
    allow_warning: bool
    min_weighted_score_percent: float
    policy_digest: str
    rules: list[RuleInfo]


list_gates = Query(
    "governance.gates.list",
    params=Nothing,
    result=list[GateInfo],
    permission="gate:read",
    http=GET("/api/gates"),
    summary="List the gates with their policies",
    sited=False,
)
get_gate = Query(
    "governance.gates.get",
    params=GateName,
    result=GateInfo,
    permission="gate:read",
    http=GET("/api/gates/{gate}"),
    errors=(NotFound,),
    summary="Show a gate and its policy",
    sited=False,
)
