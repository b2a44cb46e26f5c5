"""The tool's commands about escalation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW
from tests.unit.client.test_cli import BOARD, ITEMS

CANDIDATE = {
    "id": 5, "item_id": "GR-001", "gate": "operations", "subject": "site", "rule_id": "dr", "rule_status": "fail",
    "required": True, "priority": 1, "owner_role": "DR Owner", "assignee": None, "status": "pending", "due_at": NOW,
    "minutes_until_due": -5, "level": 2, "acknowledged_by": None, "snoozed_until": None,
}  # fmt: skip
RUN: dict[str, Any] = {
    "run_id": 17, "job_name": "j", "trigger": "api", "status": "critical", "started_at": NOW, "finished_at": NOW,
    "enabled": True, "due_soon_hours": 12, "notify_enabled": True, "dry_run": False, "snapshot": {},
    "candidate_count": 1, "critical_count": 1, "notify_attempted": False, "notify_dispatched": False,
    "notify_error": None, "notify_channels": [], "items": [CANDIDATE], "started_count": 1, "raised_count": 1,
    "would_raise_count": 3, "skipped_count": 0, "waiting_count": 0, "unmatched_count": 0, "left_over_count": 0,
    "chains_source": "default", "chains_version": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "critical  run 17: 1 due or overdue, 1 critical; 1 told"),
        ({"dry_run": True}, "critical  run 17: 1 due or overdue, 1 critical; 3 would be told"),
        ({"enabled": False, "status": "warning", "items": []}, "1 critical; 1 told; switched off"),
    ],
)
def test_a_run_is_a_line_and_its_candidates(
    gateway: FakeGateway, tool: Tool, changed: dict[str, Any], said: str
) -> None:
    gateway.on(f"POST {BOARD}/escalate/run", Says(RUN | changed))
    result = tool("escalation", "run", "--dry-run", "--include-due-soon-hours", "0")
    assert gateway.asked[0].query == {"dry_run": ["true"], "include_due_soon_hours": ["0"]}
    assert said in result.stdout
    assert ("nobody" in result.stdout) == ("items" not in changed)


def test_of_a_run_that_failed_the_reason(gateway: FakeGateway, tool: Tool) -> None:
    said = {"run_id": 9, "status": "failed", "reason": "OSError: no luck"}
    gateway.on(f"GET {BOARD}/escalate/latest", Says(said))
    assert "run 9: OSError: no luck" in tool("escalation", "latest").stdout


def test_how_far_one_is_and_whom_it_told(gateway: FakeGateway, tool: Tool) -> None:
    step = {"key": "0199d3f0-0000-7000-8000-000000000001", "level": 1, "repeat": 0, "due_at": NOW, "at": NOW}
    told = {"outcome": "raised", "targets": [{"kind": "user", "name": "mia", "people": ["mia"]}]}
    steps = [step | told, step | {"outcome": "skipped", "targets": []}]
    said = {
        "item_id": 5,
        "episode": 1,
        "state": "running",
        "chain": "usual",
        "level": 1,
        "next_at": NOW,
        "steps": steps,
    }
    gateway.on(f"GET {ITEMS}/5/escalation", Says(said | {"steps": steps}))
    output = tool("items", "escalation", "5").stdout
    for word in ("running", "usual", "looks again", "user mia", "nobody was there"):
        assert word in output
    gateway.on(f"POST {ITEMS}/6/acknowledge", Says({"item_id": 6, "episode": 1, "state": "acknowledged"}))
    assert "acknowledged" in tool("items", "acknowledge", "6", "--reason", "on it").stdout


def test_what_is_late_is_the_exit_code(gateway: FakeGateway, tool: Tool) -> None:
    late = {"item_id": 5, "rule_id": "dr", "chain": "usual", "level": 2, "due_at": NOW, "minutes_late": 99}
    said = {"generated_at": NOW, "status": "critical", "enabled": True, "late_count": 1, "late": [late]}
    fine = said | {"status": "success", "late_count": 0, "late": []}
    gateway.on(f"GET {BOARD}/escalate/check", Says(said), Says(fine))
    result = tool("escalation", "check")
    assert (result.exit_code, "99" in result.stdout) == (1, True)
    result = tool("escalation", "check")
    assert (result.exit_code, result.stdout) == (0, "Nothing is late.\n")
    why = {"item_id": 5, "rule_id": "dr", "chain": "usual", "level": 2, "since": NOW, "error": "Mia has no channel."}
    nobody = fine | {"status": "critical", "unreached_count": 1, "unreached": [why]}
    gateway.on(f"GET {BOARD}/escalate/check", Says(nobody))
    result = tool("escalation", "check")
    assert (result.exit_code, "Of 1 items nobody could be told." in result.stdout) == (1, True)
    assert "Mia has no channel." in " ".join(result.stdout.split())
    gateway.on(f"GET {BOARD}/escalate/check", Says(fine | {"status": "warning", "calendar_problem": "No holidays"}))
    result = tool("escalation", "check")
    assert (result.exit_code, result.stdout) == (1, "Nothing is late.\nNo holidays\n")
