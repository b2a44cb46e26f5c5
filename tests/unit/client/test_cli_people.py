"""What the tool shows of people and their work."""

from __future__ import annotations

from typing import Any

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW
from tests.unit.client.test_cli import ITEMS

TRACKER = ITEMS.removesuffix("/items")
SUGGESTED = {
    "id": 5, "item_id": "GR-001", "rule_id": "tests_passed", "owner_role": "Ops Lead", "priority": 1, "due_at": NOW,
    "recommended_assignee": None, "reason": "Nobody can take it.",
}  # fmt: skip
WORKLOAD: dict[str, Any] = {
    "generated_at": NOW, "include_inactive": False, "total_open_items": 4, "unassigned_open_count": 1,
    "assignee_open_counts": {"ann": 1, "Somebody": 2, "unassigned": 1}, "owner_role_open_counts": {"Ops Lead": 4},
    "candidate_usernames_by_role": {"owner": ["ann"], "manager": [], "operator": []}, "suggestions": [SUGGESTED],
    "unknown_assignees": ["Somebody"],
}  # fmt: skip


def test_a_workload_is_two_tables(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {TRACKER}/workload", Says(WORKLOAD))
    lines = tool("workload", "show").stdout.splitlines()
    assert any("Somebody" in line and "2" in line and "no active user" in line for line in lines)
    assert any("tests_passed" in line and "nobody" in line and "Nobody can take it." in line for line in lines)


def test_a_run_says_what_it_gave(gateway: FakeGateway, tool: Tool) -> None:
    run = {
        "run_id": 17, "job_name": "ops_governance_remediation_auto_assign", "trigger": "api", "status": "success",
        "started_at": NOW, "finished_at": NOW, "enabled": True, "dry_run": True, "limit": 30, "workload": WORKLOAD,
        "candidate_count": 2, "assigned_count": 1, "skipped_count": 0, "no_candidate_count": 1, "updated_ids": [5],
        "assignments": [{"id": 5, "assignee": "ann", "status": "in_progress", "reason": "Least load."}],
    }  # fmt: skip
    gateway.on(f"POST {TRACKER}/auto-assign/run", Says(run))
    shown = tool("auto-assign", "run", "--dry-run").stdout
    assert "Run 17: 1 of 2 items given out, 1 for which nobody is free (dry run: nothing was changed)" in shown
    assert "Least load." in shown


def test_people_with_their_absences(gateway: FakeGateway, tool: Tool) -> None:
    away = {
        "absence_id": 1,
        "username": "ann",
        "away_from": NOW,
        "away_to": NOW,
        "created_by": "ann",
        "created_at": NOW,
    }
    ann = {
        "username": "ann", "display_name": "Ann", "role": "owner", "open_items": 3, "load": 4.5, "max_open_items": 9,
        "absences": [away],
    }  # fmt: skip
    gateway.on(f"GET {TRACKER}/people", Says([ann]))
    shown = tool("people", "list").stdout
    assert "4.5" in shown
    assert " to " in shown
    gateway.on(f"GET {TRACKER}/people", Says([]))
    assert "Nobody works on the items" in tool("people", "list").stdout


def test_whether_one_may_is_an_exit_code(gateway: FakeGateway, tool: Tool) -> None:
    for allowed, code, word in ((True, 0, "yes: Ann is operator."), (False, 1, "no: Ann is operator.")):
        reasons = [{"by": "role", "allowed": allowed, "text": "Ann is operator."}]
        told = {
            "username": "ann", "permission": "gate:run", "operation": None, "site": "plant-1", "subject": None,
            "token_id": 1, "allowed": allowed, "because": "Ann is operator.", "reasons": reasons,
        }  # fmt: skip
        gateway.answers.clear()
        gateway.on("GET /api/permissions/check", Says(told))
        result = tool("can-i", "gate:run", "--site", "plant-1", "--user", "ann")
        assert (result.exit_code, result.stdout.splitlines()[0]) == (code, word)
        assert gateway.asked[-1].query == {"permission": ["gate:run"], "site": ["plant-1"], "username": ["ann"]}
    gateway.answers.clear()
    gateway.on("GET /api/permissions/check", refusal(403, "Not you."))
    assert tool("can-i", "gate:run").exit_code == 2
