"""SLA: how the open items stand against their deadlines, and the rules that give them their hours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, Line, Model, Open, Query, Site, Time, Token
from libs.common.contracts.governance.runs import CountedStatus
from libs.common.contracts.names import LineFilter, Subject
from libs.common.contracts.tracker.items import BASE, ItemStatus
from libs.common.contracts.versions import Document

Severity = Literal["required_fail", "optional_fail", "required_warning", "optional_warning"]
Tier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]


class SlaRule(Model):
    """Hours for the items that fit everything it names: a rule that names nothing fits all."""

    sla_hours: int | None = Field(ge=1, le=87_840, description="Working hours until an item is due; null: no SLA")
    severity: Severity | None = Field(None, description="Items that are this serious when they open or rise")
    rule_id: Line | None = None
    tier: Tier | None = Field(None, description="Items of subjects of this tier")
    site: Site | None = Field(None, description="Items of this site; for rules that are published for all sites")


class SlaRules(Model):
    """The first rule that fits gives an item its hours; where none fits, the gate's policy does.

    They hold for what opens, reopens or rises in severity from then on. ``tiers`` says of which tier a subject is.
    """

    rules: list[SlaRule] = Field([], max_length=200)
    tiers: dict[Subject, Tier] = Field({}, max_length=5000)


class SlaFilter(Model):
    gate: Token = Field("operations", description="The gate whose items these are")
    subject: Subject | None = Field(None, description="One subject; without it, all of the gate")
    line: LineFilter | None = Field(None, description="One of its lines, with a subject; empty: the one without a name")
    due_soon_hours: int = Field(24, ge=0, le=168, description="What is due within so many hours is due soon")


class SlaMetrics(Open):
    """Counts of active items. ``open`` is what nobody has claimed done.

    Overdue, due soon, paused and without SLA exclude each other: a paused clock is not late, and without an SLA nothing
    is.
    """

    total_items: int
    open_items: int
    pending_count: int
    in_progress_count: int
    done_count: int
    blocked_count: int
    completion_rate_percent: int
    overdue_count: int
    due_soon_count: int
    critical_open_count: int
    unassigned_open_count: int
    paused_count: int
    no_sla_count: int


class RiskItem(Open):
    """``minutes_until_due`` is whole minutes, negative when late, null without a deadline."""

    id: int
    item_id: str
    rule_id: str
    subject: str
    line: str = ""
    rule_status: CountedStatus
    required: bool
    priority: int
    assignee: str | None
    status: ItemStatus
    due_at: Time | None
    minutes_until_due: int | None
    paused_at: Time | None


class Sla(Open):
    """``assignee_open_counts`` names the 1,000 people with most open items; nobody's are under ``unassigned``.

    ``top_risk_items`` are the first ten open items by priority, deadline and id.
    """

    generated_at: Time
    due_soon_hours: int
    metrics: SlaMetrics
    assignee_open_counts: dict[str, int]
    top_risk_items: list[RiskItem]


SLA_RULES = Document(
    "tracker",
    "sla_rules",
    content=SlaRules,
    default=SlaRules(),
    path=f"{BASE}/sla/rules",
    what="the SLA rules",
)
get_sla = Query(
    "tracker.sla.get",
    params=SlaFilter,
    result=Sla,
    permission="remediation:read",
    http=GET(f"{BASE}/sla"),
    summary="How open items stand against their deadlines",
)
