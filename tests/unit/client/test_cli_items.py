"""The tool's commands about items that show more than one field of an answer."""

from __future__ import annotations

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW
from tests.unit.client.test_cli import ITEMS


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
