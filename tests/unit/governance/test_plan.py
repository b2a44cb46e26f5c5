"""The remediation plan: order, numbering, due times and counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.judge.facts import Facts
from libs.judge.verdict import judge
from services.governance.domain.plan import make_plan
from tests.unit.governance.samples import NOW, OPERATIONS, operations_facts, rule

NOTHING = judge(OPERATIONS, Facts(), NOW)


def test_order_numbers_and_counts() -> None:
    plan = make_plan(NOTHING, NOW, include_warnings=True, max_items=30)
    assert [(item.item_id, item.rule_id, item.priority, item.sla_hours) for item in plan.items] == [
        ("GR-001", "preflight_no_error", 1, 4),
        ("GR-002", "runbook_no_critical", 1, 4),
        ("GR-003", "security_risk_within_max", 1, 8),
        ("GR-004", "deploy_smoke_binding_recent", 4, 8),
        ("GR-005", "daily_check_recent", 4, 12),
        ("GR-006", "dr_restore_valid_recent", 4, 24),
        ("GR-007", "weekly_streak_target_met", 4, 24),
    ]
    summary = plan.summary
    assert (summary.total_candidates, summary.fail_count, summary.warning_count) == (7, 3, 4)
    assert (summary.item_count, summary.critical_path_count) == (7, 3)
    assert (plan.decision, plan.gate_generated_at, plan.include_warnings, plan.max_items) == ("no_go", NOW, True, 30)


def test_an_item_says_who_what_and_until_when() -> None:
    item = make_plan(NOTHING, NOW).items[0]
    failed = rule(NOTHING, "preflight_no_error")
    assert item.due_at == NOW + timedelta(hours=4)
    assert (item.owner_role, item.rule_status, item.required) == ("Platform Owner", "fail", True)
    assert (item.reason, item.detail, item.action) == (failed.message, failed.detail, failed.action)


def test_truncation_comes_after_the_counts() -> None:
    plan = make_plan(NOTHING, NOW, include_warnings=True, max_items=2)
    assert [item.item_id for item in plan.items] == ["GR-001", "GR-002"]
    assert (plan.summary.total_candidates, plan.summary.fail_count, plan.summary.warning_count) == (7, 3, 4)
    assert (plan.summary.item_count, plan.summary.critical_path_count) == (2, 2)


def test_warnings_may_be_left_out() -> None:
    plan = make_plan(NOTHING, NOW, include_warnings=False)
    assert {item.rule_status for item in plan.items} == {"fail"}
    assert plan.summary.warning_count == 0


def test_a_clean_verdict_gives_an_empty_plan() -> None:
    plan = make_plan(judge(OPERATIONS, operations_facts(), NOW), NOW)
    assert (plan.items, plan.summary.total_candidates, plan.decision) == ((), 0, "go")


def test_rules_without_owner_action_or_sla() -> None:
    bare = [replace(result, owner_role="", action="", sla_hours=0, status="fail") for result in NOTHING.rules[:2]]
    bare[1] = replace(bare[1], message="")
    plan = make_plan(replace(NOTHING, rules=tuple(bare)), NOW)
    first, second = plan.items
    assert (first.owner_role, first.sla_hours, first.action) == ("Ops Manager", 1, bare[0].message)
    assert second.action == "Mend what this rule found and run the gate again."


@pytest.mark.parametrize(
    ("status", "required", "priority"),
    [("fail", True, 1), ("fail", False, 2), ("warning", True, 3), ("warning", False, 4)],
)
def test_priorities(status: str, required: bool, priority: int) -> None:
    result = replace(NOTHING.rules[0], status=status, required=required)  # type: ignore[arg-type]
    assert make_plan(replace(NOTHING, rules=(result,)), NOW).items[0].priority == priority


@pytest.mark.parametrize("max_items", [0, 201, -1])
def test_max_items_has_bounds(max_items: int) -> None:
    with pytest.raises(ValueError, match="1 to 200"):
        make_plan(NOTHING, NOW, max_items=max_items)
