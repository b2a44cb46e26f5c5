"""A caller who has only the facility system's description in hand, over HTTP: its paths, its fields, its flows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.integration.governance_desk import send_ops
from tests.stack import Stack

pytestmark = pytest.mark.integration
BASE = "/api/ops/governance/gate/remediation/tracker"

SYNCED = {
    "generated_at", "gate_generated_at", "decision", "include_warnings", "max_items", "synced_count", "created_count",
    "reopened_count", "resolved_count", "active_count", "items",
}  # fmt: skip
ITEM = {
    "id", "item_id", "rule_id", "rule_status", "required", "priority", "owner_role", "sla_hours", "due_at", "action",
    "reason", "detail", "assignee", "status", "completion_checked", "completion_note", "completed_at", "is_active",
    "gate_generated_at", "created_by", "updated_by", "created_at", "updated_at",
}  # fmt: skip
COUNTERS = {
    "generated_at", "total_items", "active_count", "closed_count", "pending_count", "in_progress_count", "done_count",
    "blocked_count", "completion_rate_percent", "missing_assignee_count", "critical_open_count", "overdue_count",
}  # fmt: skip
READINESS = COUNTERS | {"missing_completion_checked_count", "readiness_score_percent", "ready", "blockers"}
COMPLETION = {
    "status", "completion_note", "completed_by", "completed_at", "force_used", "last_checked_at", "readiness",
}  # fmt: skip
JOB = {"run_id", "job_name", "trigger", "status", "started_at", "finished_at"}
ESCALATED = JOB | {
    "enabled", "due_soon_hours", "notify_enabled", "dry_run", "snapshot", "candidate_count", "critical_count",
    "notify_attempted", "notify_dispatched", "notify_error", "notify_channels", "items",
}  # fmt: skip
ASSIGNED = JOB | {
    "enabled", "dry_run", "limit", "workload", "candidate_count", "assigned_count", "skipped_count",
    "no_candidate_count", "updated_ids", "assignments",
}  # fmt: skip
WORKLOAD = {
    "generated_at", "include_inactive", "total_open_items", "unassigned_open_count", "assignee_open_counts",
    "owner_role_open_counts", "candidate_usernames_by_role", "suggestions",
}  # fmt: skip
SUGGESTION = {"id", "item_id", "rule_id", "owner_role", "priority", "due_at", "recommended_assignee", "reason"}
KPI = {
    "window_days", "due_soon_hours", "metrics", "status_counts", "assignee_open_counts", "backlog_history",
    "top_overdue_items", "recommendations",
}  # fmt: skip


class Caller:
    """Says paths below the tracker's, and expects statuses and fields."""

    def __init__(self, http: Http) -> None:
        self.http = http

    async def __call__(self, method: str, path: str, fields: set[str], body: Any = None, *, status: int = 200) -> Any:
        sent = {} if body is None else {"json": body}
        answer = await self.http.client.request(method, f"{BASE}{path}", **sent)
        assert answer.status_code == status, (path, answer.text)
        found = answer.json()
        assert not fields - set(found), (path, fields - set(found))
        return found


@pytest_asyncio.fixture
async def ask(stack: Stack) -> AsyncIterator[Caller]:
    http = await Http(stack).open()  # users are told from the first on
    await stack.start(make_service(packaged_policies()), TRACKER)
    yield Caller(http)
    await http.close()


async def test_from_a_no_go_to_a_completed_board_and_by_force(ask: Caller, stack: Stack) -> None:
    await send_ops(stack, preflight={"error_count": 2}, quality_streak=None)
    synced = await ask("POST", "/sync", SYNCED, {"include_warnings": True, "max_items": 30})
    assert (synced["decision"], synced["created_count"], synced["active_count"]) == ("no_go", 2, 2)
    assert synced["synced_count"] == len(synced["items"]) == 2
    again = await ask("POST", "/sync", SYNCED, {})
    assert (again["created_count"], again["reopened_count"], again["resolved_count"]) == (0, 0, 0)
    assert [one["due_at"] for one in again["items"]] == [one["due_at"] for one in synced["items"]], "none slides"

    listed = (await ask.http.client.get(f"{BASE}/items")).json()
    assert [one["item_id"] for one in listed] == ["GR-001", "GR-002"]
    assert not ITEM - set(listed[0])
    first, second = (one["id"] for one in listed)
    done = await ask("PATCH", f"/items/{first}", ITEM, {"assignee": " mia ", "status": "done"})
    assert (done["assignee"], done["completion_checked"], done["completed_at"] is not None) == ("mia", True, True)
    await ask("PATCH", f"/items/{second}", ITEM, {"assignee": "bob", "status": "in_progress"})

    stack.clock.advance(seconds=1)
    refused = await ask("POST", "/complete", {"blockers", "readiness_score_percent"}, {}, status=409)
    assert any("NO_GO" in blocker for blocker in refused["blockers"])
    overview = await ask("GET", "/overview", COUNTERS)
    readiness = await ask("GET", "/readiness", READINESS)
    assert readiness["blockers"] == refused["blockers"]
    assert {name: readiness[name] for name in COUNTERS - {"generated_at"}} == {
        name: overview[name] for name in COUNTERS - {"generated_at"}
    }
    rule_id = next(one for one in synced["items"] if one["id"] == first)["rule_id"]
    shown = await ask("GET", f"/items/{first}", ITEM)
    assert f"does not pass {rule_id}" in shown["completion_note"], "done is a claim, and the fresh run refuses it"

    await send_ops(stack, prefix="second")
    completed = await ask("POST", "/complete", COMPLETION, {"completion_note": "all mended"})
    assert (completed["status"], completed["force_used"], completed["readiness"]["ready"]) == ("completed", False, True)
    assert (await ask("GET", "/completion", COMPLETION))["status"] == "completed"
    assert (await ask("GET", "/overview", COUNTERS))["closed_count"] == 2

    stack.clock.advance(seconds=1)
    await send_ops(stack, prefix="third", preflight={"error_count": 1})
    reopened = await ask("POST", "/sync", SYNCED, {})
    assert (reopened["reopened_count"], reopened["active_count"]) == (1, 1)
    assert (await ask("GET", "/completion", COMPLETION))["status"] == "active"
    await ask("POST", "/complete", {"detail"}, {"force": True}, status=422)
    forced = await ask("POST", "/complete", COMPLETION, {"force": True, "completion_note": "the vendor is late"})
    assert (forced["status"], forced["force_used"]) == ("completed_with_exceptions", True)
    assert forced["readiness"]["blockers"] != []


async def test_escalation_assignment_and_figures_say_the_same_dry_and_real(ask: Caller, stack: Stack) -> None:
    await ask.http.user("ole", "operator")
    await send_ops(stack, preflight={"error_count": 2}, security={"risk_level": "critical"}, quality_streak=None)
    await ask("POST", "/sync", SYNCED, {})

    workload = await ask("GET", "/workload", WORKLOAD)
    assert not SUGGESTION - set(workload["suggestions"][0])
    dry = await ask("POST", "/auto-assign/run?dry_run=true", ASSIGNED)
    assert (dry["candidate_count"], dry["assigned_count"], dry["updated_ids"]) == (3, 0, [])
    assert {one["assignee"] for one in (await ask.http.client.get(f"{BASE}/items")).json()} == {None}
    real = await ask("POST", "/auto-assign/run", ASSIGNED)
    assert (real["candidate_count"], real["assigned_count"]) == (dry["candidate_count"], 3)
    given = {one["id"]: one["assignee"] for one in real["assignments"]}
    assert given == {one["id"]: one["recommended_assignee"] for one in workload["suggestions"]}, "as it was suggested"
    assert {one["status"] for one in real["assignments"]} == {"in_progress"}
    assert (await ask("GET", "/auto-assign/latest", ASSIGNED))["run_id"] == real["run_id"]
    assert (await ask("POST", "/auto-assign/run", ASSIGNED))["candidate_count"] == 0

    stack.clock.advance(hours=100)
    dry = await ask("POST", "/escalate/run?dry_run=true&include_due_soon_hours=12", ESCALATED)
    real = await ask("POST", "/escalate/run?include_due_soon_hours=12", ESCALATED)
    assert (dry["dry_run"], real["dry_run"], real["status"]) == (True, False, "critical")
    same = ("candidate_count", "critical_count", "items", "snapshot")
    assert {name: ids(dry[name]) for name in same} == {name: ids(real[name]) for name in same}
    assert (dry["raised_count"], dry["would_raise_count"]) == (0, real["raised_count"])
    assert real["raised_count"] == real["candidate_count"] == 3
    again = await ask("POST", "/escalate/run", ESCALATED)
    assert (again["candidate_count"], again["raised_count"]) == (3, 0), "each is told once"
    assert (await ask("GET", "/escalate/latest", ESCALATED))["run_id"] == again["run_id"]

    figures = await ask("GET", "/kpi", KPI)
    run = await ask("POST", "/kpi/run", JOB | KPI)
    assert (run["metrics"]["overdue_count"], run["metrics"]["open_items"]) == (3, 3)
    assert figures["metrics"] == run["metrics"]
    assert run["assignee_open_counts"] == real["snapshot"]["assignee_open_counts"]
    assert (await ask("GET", "/kpi/latest", JOB | KPI))["run_id"] == run["run_id"]


def ids(found: Any) -> Any:
    """Items by their ids and times; what differs between two moments, or tells how far an escalation is, left out."""
    if isinstance(found, list):
        return [(one["id"], one["due_at"]) for one in found]
    return {name: found[name] for name in ("metrics", "assignee_open_counts")} if isinstance(found, dict) else found
