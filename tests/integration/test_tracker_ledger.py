"""The ledger on real PostgreSQL: what every change of an item leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.contracts.tracker.completion import CompleteBody, complete_board
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from tests.integration.tracker_desk import Desk

STATUS = "SELECT completion_status FROM board WHERE site = $1"

pytestmark = pytest.mark.integration


async def ledger(desk: Desk, item_id: int) -> list[dict[str, Any]]:
    """The rows of an item, oldest first."""
    rows = await desk.pool.fetch("SELECT * FROM item_change WHERE item = $1 ORDER BY id", item_id)
    return [dict(row) for row in rows]


async def test_every_change_of_an_item_is_in_the_ledger(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "fail"})
    item = (await desk.items())["a"]
    desk.later(1)
    applied = await desk.order(patch_item, ItemPatch(item_id=item.id, assignee="bob", status="done"), actor="bob")
    desk.later(1)
    await desk.decided({"a": "fail", "b": "fail"})
    await desk.decided({"a": "pass", "b": "fail"})
    await desk.decided({"a": "fail", "b": "fail"})
    rows = await ledger(desk, item.id)
    assert [row["kind"] for row in rows] == ["opened", "patched", "refused", "resolved", "reopened"]
    assert [row["revision"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["episode"] for row in rows] == [1, 1, 1, 1, 2]
    assert [row["run_id"] for row in rows] == [1001, None, 1002, 1003, 1004]
    opened, patched, refused, resolved, _ = rows
    assert (opened["before"], opened["changed"]) == ({}, [])
    assert (opened["after"]["rule_status"], opened["after"]["status"], opened["after"]["is_active"]) == (
        "fail",
        "pending",
        True,
    )
    assert "detail" not in opened["after"]
    assert (patched["actor"], str(patched["cause"])) == ("bob", applied.ended[0].command.id)
    assert patched["changed"] == ["assignee", "status", "completion_checked", "completed_at"]
    assert patched["before"] == {
        "assignee": None,
        "status": "pending",
        "completion_checked": False,
        "completed_at": None,
    }
    assert patched["after"]["status"] == "done"
    assert (refused["before"]["status"], refused["after"]["status"]) == ("done", "pending")
    assert resolved["after"]["is_active"] is False
    assert (await desk.items())["a"].revision == 5


async def test_what_changes_nothing_leaves_no_row(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    await desk.decided({"a": "fail"})
    await desk.order(patch_item, ItemPatch(item_id=item.id))
    await desk.order(patch_item, ItemPatch(item_id=item.id, status="pending"))
    assert [row["kind"] for row in await ledger(desk, item.id)] == ["opened"]
    judged = (await desk.items())["a"]
    assert (judged.revision, judged.gate_run_id, judged.updated_at) == (1, 1002, item.updated_at)


async def test_events_rows_and_ledger_agree(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "warning"})
    item = (await desk.items())["a"]
    await desk.order(patch_item, ItemPatch(item_id=item.id, completion_note="half"))
    await desk.decided({"a": "pass", "b": "fail"})
    told: dict[int, list[dict[str, Any]]] = {}
    for event in desk.told:
        told.setdefault(event.data["item"]["id"], []).append(event.data)
    for item_id, events in told.items():
        rows = await ledger(desk, item_id)
        assert [row["revision"] for row in rows] == [one["item"]["revision"] for one in events]
        assert [row["changed"] for row in rows] == [one["changed"] for one in events]
        last = rows[-1]["after"]
        assert {name: events[-1]["item"][name] for name in last} == last


async def test_a_detail_is_kept_when_something_else_changes(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    await desk.pool.execute("""UPDATE item SET detail = '{"seen": [1, 2]}' WHERE site = $1""", desk.site)
    item = (await desk.items())["a"]
    await desk.order(patch_item, ItemPatch(item_id=item.id, assignee="bob"))
    assert (await desk.items())["a"].detail == {"seen": [1, 2]}


async def test_a_label_does_not_reopen_a_completed_board_and_a_note_does(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    status, completed = await desk.judged(complete_board, CompleteBody(), {"a": "pass"})
    assert (status, completed["status"]) == (200, "completed")
    await desk.order(patch_item, ItemPatch(item_id=item.id, add_labels=["db"]))
    assert await desk.pool.fetchval(STATUS, desk.site) == "completed"
    await desk.order(patch_item, ItemPatch(item_id=item.id, completion_note="one more thing"))
    assert await desk.pool.fetchval(STATUS, desk.site) == "active"
