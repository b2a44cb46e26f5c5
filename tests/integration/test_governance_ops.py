"""The operations gate in the facility system's shapes: the very keys its callers know."""

from __future__ import annotations

from libs.common.contracts.governance.operations import ops_gate, ops_gate_history, ops_gate_latest, ops_gate_run
from libs.common.contracts.governance.plans import get_plan, ops_plan
from tests.integration.governance_desk import run, send_ops, start
from tests.stack import Stack

SNAPSHOT = ["generated_at", "decision", "summary", "rules", "policy"]
ENVELOPE = ["run_id", "job_name", "trigger", "status", "started_at", "finished_at"]
SUMMARY = [
    "total_rules", "required_rules", "passed_rules", "failure_count", "warning_count", "weighted_total",
    "weighted_passed", "weighted_score_percent",
]  # fmt: skip
RULE = ["id", "required", "status", "passed", "weight", "message", "detail"]
POLICY = {
    "allow_warning": True,
    "max_security_risk_level": "high",
    "require_preflight_no_error": True,
    "require_runbook_no_critical": True,
    "require_daily_check_recent": False,
    "daily_check_max_age_hours": 36,
    "require_dr_restore_valid_recent": False,
    "dr_max_age_days": 35,
    "require_deploy_smoke_binding_recent": False,
    "deploy_smoke_max_age_hours": 72,
    "require_weekly_streak_target_met": False,
    "security_dashboard_days": 30,
    "dr_weight": 2.0,
    "min_weighted_score_percent": 75.0,
}
PLAN = ["generated_at", "gate_generated_at", "decision", "include_warnings", "max_items", "summary", "items"]
PLAN_SUMMARY = ["total_candidates", "fail_count", "warning_count", "item_count", "critical_path_count"]
PLAN_ITEM = [
    "item_id", "rule_id", "rule_status", "required", "priority", "owner_role", "sla_hours", "due_at", "action",
    "reason", "detail",
]  # fmt: skip


async def test_the_snapshot_is_judged_live_and_stores_nothing(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    shown = (await stack.query(ops_gate)).json
    assert list(shown) == SNAPSHOT
    assert list(shown["summary"]) == SUMMARY
    assert [list(rule) for rule in shown["rules"]] == [RULE] * 7
    assert shown["policy"] == POLICY
    assert (shown["decision"], shown["summary"]["weighted_total"]) == ("go", 10.0)
    assert (await stack.query(ops_gate_latest)).status == 404
    assert (await stack.query(ops_gate, site="plant-7")).json["decision"] == "no_go"


async def test_a_run_is_read_back_as_it_was(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, quality_streak=None)
    answer = await stack.command(ops_gate_run, {})
    assert (answer.status, set(answer.json)) == (200, {*SNAPSHOT, *ENVELOPE})
    assert (answer.json["job_name"], answer.json["trigger"], answer.json["status"]) == (
        "ops_governance_gate", "api", "warning",
    )  # fmt: skip
    assert (await stack.query(ops_gate_latest)).json == answer.json
    await run(stack)
    await run(stack, site="plant-7")
    history = (await stack.query(ops_gate_history, {"limit": 5})).json
    assert list(history) == ["generated_at", "count", "items"]
    assert history["count"] == 2
    assert [list(item) for item in history["items"]] == [
        ["run_id", "status", "decision", "failure_count", "warning_count", "finished_at"]
    ] * 2
    assert history["items"][1]["run_id"] == answer.json["run_id"]
    assert history["items"][1]["warning_count"] == 1


async def test_the_plan_of_a_no_go_says_who_does_what_by_when(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, preflight={"error_count": 3}, security={"risk_level": "critical"}, daily_check=None)
    plan = (await stack.query(ops_plan)).json
    assert list(plan) == PLAN
    assert list(plan["summary"]) == PLAN_SUMMARY
    assert [list(item) for item in plan["items"]] == [PLAN_ITEM] * 3
    assert [(item["item_id"], item["rule_id"], item["priority"]) for item in plan["items"]] == [
        ("GR-001", "preflight_no_error", 1),
        ("GR-002", "security_risk_within_max", 1),
        ("GR-003", "daily_check_recent", 4),
    ]
    assert (plan["decision"], plan["summary"]["critical_path_count"]) == ("no_go", 2)
    cut = (await stack.query(ops_plan, {"include_warnings": False, "max_items": 1})).json
    assert (cut["summary"]["total_candidates"], cut["summary"]["item_count"]) == (2, 1)
    same = (await stack.query(get_plan, {"gate": "operations"})).json
    assert same["items"] == plan["items"]
