"""The tool's commands about the autopilot."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.tracker.autopilot_policy import AUTOPILOT, AutopilotPolicy
from libs.common.contracts.tracker.kpi import KpiMetrics
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW

METRICS = dict.fromkeys(KpiMetrics.model_fields, 0) | {"overdue_count": 3}
FACTS = {
    "window_days": 14, "due_soon_hours": 24, "metrics": METRICS, "status_counts": {}, "assignee_open_counts": {},
    "backlog_history": {"window_days": 14, "count": 0, "trend": "flat", "points": []}, "top_overdue_items": [],
    "recommendations": [],
}  # fmt: skip
EVALUATION: dict[str, Any] = {
    "checked_at": NOW, "force": False, "policy": AutopilotPolicy().model_dump(), "metrics": METRICS,
    "should_run_auto_assign": True, "should_run_escalation": True, "planned_actions": ["auto_assign", "escalation"],
    "kpi_snapshot": FACTS,
}  # fmt: skip
GUARD = {
    "checked_at": NOW, "force": False, "cooldown_minutes": 30, "ready": True, "blocked": False,
    "reason": "no_recent_run", "last_run_id": None, "last_run_at": None, "next_allowed_at": None,
    "minutes_until_ready": 0,
}  # fmt: skip
STEP = {
    "action": "auto_assign", "item_id": 5, "episode": 1, "revision": 1, "gate": "release", "subject": "shop",
    "rule_id": "tests", "priority": 1, "due_at": NOW, "assignee": "ann", "why": "least load",
}  # fmt: skip
TELLS = STEP | {"action": "escalation", "assignee": None, "level": 1, "targets": ["user mia"], "why": "overdue"}
PLAN = {"actions": ["auto_assign", "escalation"], "steps": [STEP, TELLS], "touched_count": 1, "left_out_count": 2}
PREVIEW = EVALUATION | {
    "policy_key": "k", "guard": GUARD, "switch": {"stopped": False}, "plan": PLAN, "plan_hash": "f" * 64,
    "ends_at": NOW, "errors": [],
}  # fmt: skip
RUN: dict[str, Any] = {
    "run_id": 19, "job_name": "j", "trigger": "api", "status": "warning", "started_at": NOW, "finished_at": NOW,
    "enabled": True, "dry_run": False, "force": False, "shadow": False, "approved": False, "policy_key": "k",
    "policy_updated_at": None, "policy": AutopilotPolicy().model_dump(), "metrics": METRICS, "metrics_after": METRICS,
    "guard": GUARD, "switch": {"stopped": False}, "skipped": False, "skip_reason": None, "planned_actions": [],
    "actions": ["auto_assign"], "should_run_auto_assign": True, "should_run_escalation": False, "plan_hash": "f" * 64,
    "planned_steps": [STEP], "touched_count": 1, "left_out_count": 0, "auto_assign": None, "escalation": None,
    "checks": [{"action": "auto_assign", "wanted_count": 2, "moved_count": 1, "ok": False, "not_moved": [6]}],
    "errors": ["escalation: no luck"],
}  # fmt: skip


def test_a_preview_ends_with_how_to_approve_it(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"POST {AUTOPILOT}/preview", Says(PREVIEW))
    out = tool("autopilot", "preview").stdout
    assert "ann" in out
    assert "user mia" in out
    assert "2 more steps are left to later runs" in out
    assert f"headgate autopilot run --plan-hash {'f' * 64}" in out
    empty = PLAN | {"steps": [], "left_out_count": 0}
    gateway.on(f"POST {AUTOPILOT}/preview", Says(PREVIEW | {"plan": empty, "plan_hash": None, "errors": ["x: y"]}))
    out = tool("autopilot", "preview").stdout
    assert "would do nothing now" in out
    assert "x: y" in out
    assert "Approve" not in out


def test_a_guard_says_whether_it_may_act(gateway: FakeGateway, tool: Tool) -> None:
    stopped = {"stopped": True, "scope": "global", "stopped_at": NOW, "stopped_by": "mia", "reason": "audit"}
    shown = {"policy_key": "k", "policy_updated_at": None, "policy": AutopilotPolicy().model_dump()}
    shown |= {"evaluation": EVALUATION, "guard": GUARD, "switch": {"stopped": False}}
    waits = GUARD | {"reason": "cooldown_active", "minutes_until_ready": 7}
    for changed, said in (
        ({}, "It may act now."),
        ({"switch": stopped}, "Stopped at every site by mia: audit"),
        ({"guard": waits}, "it may again in 7 min"),
    ):
        gateway.on(f"GET {AUTOPILOT}/guard", Says(shown | changed))
        out = tool("autopilot", "guard").stdout
        assert said in out
        assert "auto assign, escalation" in out


def test_a_run_says_what_it_did_and_what_did_not_move(gateway: FakeGateway, tool: Tool) -> None:
    for changed, said in (
        ({}, "run 19: auto assign; 1 items touched"),
        ({"skipped": True, "skip_reason": "cooldown_active"}, "run 19: skipped, cooldown active"),
        ({"shadow": True, "actions": []}, "in shadow, would touch 1 items"),
        ({"dry_run": True}, "dry, auto assign"),
    ):
        gateway.on(f"POST {AUTOPILOT}/run", Says(RUN | changed))
        out = tool("autopilot", "run").stdout
        assert said in out
        assert "did not move as planned: 6" in out
        assert "escalation: no luck" in out
    gateway.on(f"GET {AUTOPILOT}/latest", Says({"run_id": 9, "status": "failed", "reason": "OSError: no"}))
    assert "run 9: OSError: no" in tool("autopilot", "latest").stdout


def test_what_looks_wrong_sets_the_exit_code(gateway: FakeGateway, tool: Tool) -> None:
    metrics = {
        "total_runs": 0, "executed_runs": 0, "skipped_runs": 0, "success_rate_percent": 100.0,
        "skipped_rate_percent": 0.0, "cooldown_blocked_runs": 0, "error_runs": 0, "consecutive_cooldown_skips": 0,
    }  # fmt: skip
    none = {"generated_at": NOW, "window_days": 14, "health_status": "healthy", "anomaly_count": 0, "anomalies": []}
    none |= {"metrics": metrics, "latest_run": None, "recommendations": []}
    gateway.on(f"GET {AUTOPILOT}/anomalies", Says(none))
    result = tool("autopilot", "anomalies")
    assert (result.exit_code, "Nothing looks wrong" in result.stdout) == (0, True)
    one = {"code": "no_recent_runs", "severity": "critical", "message": "m", "observed": 0, "target": 1}
    one["recommendation"] = "look"
    gateway.on(f"GET {AUTOPILOT}/anomalies", Says(none | {"health_status": "critical", "anomalies": [one]}))
    result = tool("autopilot", "anomalies")
    assert (result.exit_code, "no_recent_runs" in result.stdout) == (1, True)


def test_the_history_is_a_line_a_run(gateway: FakeGateway, tool: Tool) -> None:
    run = {"run_id": 19, "status": "success", "trigger": "api", "started_at": NOW, "finished_at": NOW}
    runs = [
        run | {"actions": ["auto_assign"]},
        run | {"skip_reason": "stopped"},
        run | {"shadow": True},
        run | {"dry_run": True},
    ]
    gateway.on(f"GET {AUTOPILOT}/history", Says({"generated_at": NOW, "count": 4, "limit": 20, "items": runs}))
    out = tool("autopilot", "history").stdout
    assert [word in out for word in ("auto assign", "stopped", "shadow", "dry")] == [True] * 4
