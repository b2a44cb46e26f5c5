"""The policy of the autopilot: a document per site, and the shape in which the facility system's callers know it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from libs.common.contracts.base import GET, PUT, Command, Model, Nothing, Open, Query, Time
from libs.common.contracts.tracker.items import BASE
from libs.common.contracts.versions import EXPECTED, MAX_VERSION, WHY, Document, Reason, Source
from libs.common.problems import Conflict, Invalid, TooLarge

AUTOPILOT = f"{BASE}/autopilot"
POLICY_KEY = "ops_governance_remediation_autopilot_policy"

Trigger = Annotated[int, Field(ge=0, le=100_000)]
Cooldown = Annotated[int, Field(ge=0, le=1440)]
Days = Annotated[int, Field(ge=1, le=180)]
Ahead = Annotated[int, Field(ge=0, le=168)]
Given = Annotated[int, Field(ge=1, le=500)]
Touched = Annotated[int, Field(ge=1, le=1000)]
Minutes = Annotated[int, Field(ge=1, le=1440)]


class AutopilotPolicy(Model):
    """When the autopilot acts at a site, and how much it may do. A trigger of 0 is always met."""

    enabled: bool = Field(True, description="Whether runs act at all")
    shadow: bool = Field(False, description="Only record what would be done")
    notify_enabled: bool = Field(True, description="Whether its escalation tells anybody")
    unassigned_trigger: Trigger = Field(1, description="Assign from so many open items that nobody has")
    overdue_trigger: Trigger = Field(1, description="Escalate from so many overdue items; a critical one always does")
    cooldown_minutes: Cooldown = Field(30, description="How long after a run that acted the next one may")
    skip_if_no_action: bool = Field(True, description="Call a run skipped that has nothing to do")
    kpi_window_days: Days = Field(14, description="How far back its KPIs look")
    kpi_due_soon_hours: Ahead = Field(24, description="How far ahead its KPIs count as due soon")
    escalation_due_soon_hours: Ahead = Field(12, description="Items due within so many hours escalate; 0: overdue ones")
    auto_assign_max_items: Given = Field(30, description="How many items a run gives out")
    max_touched_items: Touched = Field(100, description="How many items a run touches, all its actions together")
    plan_minutes: Minutes = Field(30, description="How long the plan of a preview may be approved")


def _as(name: str) -> Any:
    """What the policy says of a setting, which need not be given."""
    return Field(None, description=AutopilotPolicy.model_fields[name].description)


class AutopilotChange(Model):
    """Settings to change; what is absent or null stays as it is."""

    enabled: bool | None = _as("enabled")
    shadow: bool | None = _as("shadow")
    notify_enabled: bool | None = _as("notify_enabled")
    unassigned_trigger: Trigger | None = _as("unassigned_trigger")
    overdue_trigger: Trigger | None = _as("overdue_trigger")
    cooldown_minutes: Cooldown | None = _as("cooldown_minutes")
    skip_if_no_action: bool | None = _as("skip_if_no_action")
    kpi_window_days: Days | None = _as("kpi_window_days")
    kpi_due_soon_hours: Ahead | None = _as("kpi_due_soon_hours")
    escalation_due_soon_hours: Ahead | None = _as("escalation_due_soon_hours")
    auto_assign_max_items: Given | None = _as("auto_assign_max_items")
    max_touched_items: Touched | None = _as("max_touched_items")
    plan_minutes: Minutes | None = _as("plan_minutes")

    def over(self, policy: AutopilotPolicy) -> AutopilotPolicy:
        """The policy with these settings in it."""
        changed = self.model_dump(include=set(AutopilotPolicy.model_fields), exclude_none=True)
        return policy.model_copy(update=changed)


class PolicyBody(AutopilotChange):
    reason: Reason = Field("Set with PUT on the policy.", description=WHY)
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


class PolicyMeta(Open):
    """``applies_to`` is the site whose policy this is: the asked one, or `global`."""

    version: Literal["v1"] = "v1"
    scope: Literal["ops.governance.remediation.autopilot"] = "ops.governance.remediation.autopilot"
    applies_to: str
    policy_key: str = POLICY_KEY
    updated_at: Time | None


class PolicyShown(Open):
    """The policy in force. ``updated_at`` is null for the default; ``source`` and versions as in the document."""

    meta: PolicyMeta
    policy_key: str = POLICY_KEY
    updated_at: Time | None
    source: Source
    version: int
    own_version: int
    policy: AutopilotPolicy


POLICY: Document[AutopilotPolicy] = Document(
    "tracker",
    "autopilot_policy",
    content=AutopilotPolicy,
    default=AutopilotPolicy(),
    path=f"{AUTOPILOT}/policy/document",
    what="the autopilot policy",
)
get_policy = Query(
    "tracker.autopilot.policy",
    params=Nothing,
    result=PolicyShown,
    permission="policy:read",
    http=GET(f"{AUTOPILOT}/policy"),
    errors=(Conflict,),
    summary="The autopilot's policy in force",
)
set_policy = Command(
    "tracker.autopilot.configure",
    about="{site}",
    kind="tracker.autopilot_policy",
    body=PolicyBody,
    result=PolicyShown,
    permission="policy:write",
    http=PUT(f"{AUTOPILOT}/policy", query=("reason", "expected_version")),
    errors=(Conflict, Invalid, TooLarge),
    summary="Change settings of the autopilot's policy; all others stay",
)
