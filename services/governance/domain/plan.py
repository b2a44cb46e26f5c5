"""The remediation plan: what a NO_GO (or a warning) asks of whom, by when.

Order, numbering, priorities and counts follow section 2 of the facility system's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from libs.judge.verdict import Decision, RuleResult, RuleStatus, Verdict

MAX_PLAN_ITEMS = 200
DEFAULT_MAX_ITEMS = 30
DEFAULT_OWNER = "Ops Manager"
_PRIORITIES = {("fail", True): 1, ("fail", False): 2, ("warning", True): 3, ("warning", False): 4}


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One rule to mend. ``item_id`` (GR-001) holds within this plan only; ``rule_id`` is what stays."""

    item_id: str
    rule_id: str
    rule_status: RuleStatus
    required: bool
    priority: int
    owner_role: str
    sla_hours: int
    due_at: datetime
    action: str
    reason: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """Counts before truncation, but ``item_count`` and ``critical_path_count`` (failed and required) after it."""

    total_candidates: int
    fail_count: int
    warning_count: int
    item_count: int
    critical_path_count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The items of one verdict, the most urgent first."""

    gate_generated_at: datetime
    decision: Decision
    include_warnings: bool
    max_items: int
    summary: PlanSummary
    items: tuple[PlanItem, ...]


def make_plan(
    verdict: Verdict, decided_at: datetime, include_warnings: bool = True, max_items: int = DEFAULT_MAX_ITEMS
) -> Plan:
    """The plan for a verdict made at ``decided_at``; ``due_at`` is that plus the rule's ``sla_hours`` (at least 1).

    Raises ValueError unless ``max_items`` is 1 to 200.
    """
    if not 1 <= max_items <= MAX_PLAN_ITEMS:
        raise ValueError(f"max_items must be 1 to {MAX_PLAN_ITEMS}, not {max_items}")
    statuses = ("fail", "warning") if include_warnings else ("fail",)
    candidates = sorted(
        (rule for rule in verdict.rules if rule.status in statuses),
        key=lambda rule: (_priority(rule), _sla_hours(rule), rule.id),
    )
    items = tuple(_item(number, rule, decided_at) for number, rule in enumerate(candidates[:max_items], start=1))
    return Plan(
        gate_generated_at=decided_at,
        decision=verdict.decision,
        include_warnings=include_warnings,
        max_items=max_items,
        summary=PlanSummary(
            total_candidates=len(candidates),
            fail_count=sum(rule.status == "fail" for rule in candidates),
            warning_count=sum(rule.status == "warning" for rule in candidates),
            item_count=len(items),
            critical_path_count=sum(item.rule_status == "fail" and item.required for item in items),
        ),
        items=items,
    )


def _priority(rule: RuleResult) -> int:
    return _PRIORITIES.get((rule.status, rule.required), 9)


def _sla_hours(rule: RuleResult) -> int:
    return max(1, rule.sla_hours)


def _item(number: int, rule: RuleResult, decided_at: datetime) -> PlanItem:
    return PlanItem(
        item_id=f"GR-{number:03d}",
        rule_id=rule.id,
        rule_status=rule.status,
        required=rule.required,
        priority=_priority(rule),
        owner_role=rule.owner_role or DEFAULT_OWNER,
        sla_hours=_sla_hours(rule),
        due_at=decided_at + timedelta(hours=_sla_hours(rule)),
        action=rule.action or rule.message or "Mend what this rule found and run the gate again.",
        reason=rule.message,
        detail=rule.detail,
    )
