"""The tool's commands about items that show more than one field of an answer."""

from __future__ import annotations

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW
from tests.unit.client.test_cli import BOARD, ITEMS


def test_the_history_of_an_item_is_a_line_each(gateway: FakeGateway, tool: Tool) -> None:
    common = {"at": NOW, "episode": 1, "cause": "0199d3f0-0000-7000-8000-000000000001"}
    patched = {
        "id": 2, "kind": "patched", "actor": "ann", "revision": 2, "run_id": None, "changed": ["status", "assignee"],
        "before": {"status": "pending", "assignee": None}, "after": {"status": "done", "assignee": "b" * 70}, **common,
    }  # fmt: skip
    opened = {
        "id": 1, "kind": "opened", "actor": "gus", "revision": 1, "run_id": 17, "changed": [], "before": {},
        "after": {"reason": "2 of 5 tests failed"}, **common,
    }  # fmt: skip
    gateway.on(f"GET {ITEMS}/5/history", Says({"items": [patched, opened], "next_cursor": "1"}))
    result = tool("items", "history", "5")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()[1:]
    assert "patched" in first
    assert "status: pending → done; assignee: none → " + "b" * 59 + "…" in first
    assert "17" in second
    assert "2 of 5 tests failed" in second
    assert "--cursor 1" in result.stderr


def test_a_change_that_came_too_late_ends_with_1(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"PATCH {ITEMS}/5", refusal(412, "Item 5 has revision 3 by now."))
    result = tool("items", "patch", "5", "--assignee", "ann", "--if-revision", "2")
    assert (result.exit_code, result.stderr) == (1, "headgate: Item 5 has revision 3 by now.\n")
    assert gateway.asked[0].json == {"assignee": "ann", "if_revision": 2}


def test_how_open_items_stand_against_their_deadlines(gateway: FakeGateway, tool: Tool) -> None:
    risk = {
        "item_id": "GR-001", "rule_id": "r", "subject": "site", "rule_status": "fail", "required": True, "priority": 1,
        "assignee": None, "status": "pending", "due_at": NOW, "minutes_until_due": -125, "paused_at": None,
    }  # fmt: skip
    metrics = dict.fromkeys(
        ("total_items", "open_items", "pending_count", "in_progress_count", "done_count", "blocked_count",
         "completion_rate_percent", "overdue_count", "due_soon_count", "critical_open_count", "unassigned_open_count",
         "paused_count", "no_sla_count"), 3,
    )  # fmt: skip
    items = [
        risk | {"id": 1},
        risk | {"id": 2, "minutes_until_due": 7},
        risk | {"id": 3, "paused_at": NOW},
        risk | {"id": 4, "due_at": None, "minutes_until_due": None},
    ]
    answer = {"generated_at": NOW, "due_soon_hours": 24, "metrics": metrics, "top_risk_items": items}
    gateway.on(f"GET {BOARD}/sla", Says(answer | {"assignee_open_counts": {"ann": 1, "unassigned": 4}}))
    result = tool("sla", "--due-soon-hours", "24")
    assert gateway.asked[0].query == {"gate": ["operations"], "due_soon_hours": ["24"]}
    for said in ("overdue count", "unassigned", "2 h 05 min late", "7 min", "paused", "no SLA"):
        assert said in result.stdout


def test_closed_days_are_a_line_each_with_their_names(gateway: FakeGateway, tool: Tool) -> None:
    closed = [
        {"date": "2026-05-04", "why": "own_day", "name": "the\x1b[31m move"},
        {"date": "2026-05-09", "why": "weekday", "name": ""},
    ]
    answer = {"site": "global", "zone": "Asia/Seoul", "first_day": "2026-05-01", "day_count": 9, "problem": "Odd."}
    gateway.on(f"GET {BOARD}/sla/calendar/closed-days", Says(answer | {"closed": closed}))
    result = tool("calendar", "closed-days", "--first-day", "2026-05-01", "--day-count", "9")
    assert (result.exit_code, gateway.asked[0].query) == (0, {"first_day": ["2026-05-01"], "day_count": ["9"]})
    for said in ("2026-05-01 to 2026-05-09", "Asia/Seoul", "Odd.", "Mon 2026-05-04", "own day", "move"):
        assert said in result.stdout
    assert "\x1b[31m move" not in result.stdout
    gateway.on(f"GET {BOARD}/sla/calendar/closed-days", Says(answer | {"closed": [], "problem": None}))
    assert "No day is closed." in tool("calendar", "closed-days").stdout
