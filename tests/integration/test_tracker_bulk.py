"""Many items patched at once, over HTTP: each by itself, all in one transaction, and nobody waits in a circle."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from libs.common.contracts.tracker.bulk import BulkPatch, bulk_patched, patch_bulk
from libs.common.contracts.tracker.items import item_updated
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_office import Office

pytestmark = pytest.mark.integration


async def bulk(office: Office, body: dict[str, Any], client: Any = None) -> Any:
    return await office.ask("POST", "/items/bulk", client, json=body)


async def test_each_item_is_applied_or_refused_by_itself(office: Office) -> None:
    items = await office.judge(disk="fail", tape="fail", fan="fail")
    items = await office.judge(disk="fail", tape="fail", fan="pass")
    ids = {name: item["id"] for name, item in items.items()}
    answer = await bulk(
        office,
        {
            "patches": [
                {"item_id": ids["tape"], "status": "in_progress", "add_labels": ["db"]},
                {"item_id": 99999999, "assignee": "ann"},
                {"item_id": ids["fan"], "status": "pending"},
                {"item_id": ids["disk"], "assignee": "bob", "if_revision": 7},
            ]
        },
    )
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["applied_count"], found["refused_count"]) == (1, 3)
    assert [one["item_id"] for one in found["items"]] == [ids["tape"], 99999999, ids["fan"], ids["disk"]]
    assert found["items"][0]["changed"] == ["status", "labels"]
    assert [one["problem"] and one["problem"]["status"] for one in found["items"]] == [None, 404, 409, 412]
    assert "resolved: run" in found["items"][2]["problem"]["detail"]
    assert [one["revision"] for one in found["items"]] == [3, None, 2, 1]
    told = await office.http.stack.heard(bulk_patched)
    assert told.data == {"applied_count": 1, "changed_count": 1, "refused_count": 3}
    await office.http.stack.heard(item_updated, lambda event: event.data["item"]["id"] == ids["tape"])
    history = (await office.ask("GET", f"/items/{ids['tape']}/history")).json()["items"]
    assert (history[0]["kind"], history[0]["changed"]) == ("patched", ["status", "labels"])
    assert (await office.ask("GET", f"/items/{ids['disk']}")).json()["assignee"] is None


async def test_one_patch_for_many_and_a_repeat_changes_nothing(office: Office) -> None:
    ids = [item["id"] for item in (await office.judge(disk="fail", tape="fail")).values()]
    body = {"item_ids": ids, "patch": {"assignee": "bob"}}
    first, again = await bulk(office, body), await bulk(office, body)
    assert [one["changed"] for one in first.json()["items"]] == [["assignee"]] * 2
    assert [(one["outcome"], one["changed"], one["revision"]) for one in again.json()["items"]] == [
        ("applied", [], 2)
    ] * 2
    nobody = await bulk(office, {"item_ids": ids, "patch": {"assignee": None}})
    assert nobody.json()["applied_count"] == 2
    assert (await office.ask("GET", f"/items/{ids[0]}")).json()["assignee"] is None


async def test_a_foreign_site_s_item_is_not_there(office: Office) -> None:
    item = (await office.judge(disk="fail"))["disk"]
    answer = await office.ask(
        "POST", "/items/bulk", params={"site": "global"}, json={"item_ids": [item["id"]], "patch": {"assignee": "eve"}}
    )
    assert answer.json()["items"][0]["problem"]["status"] == 404
    assert (await office.ask("GET", f"/items/{item['id']}")).json()["assignee"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"item_ids": [1]},
        {"patch": {"assignee": "a"}},
        {"item_ids": [], "patch": {"assignee": "a"}},
        {"item_ids": [1, 1], "patch": {"assignee": "a"}},
        {"patches": [{"item_id": 1}, {"item_id": 1}]},
        {"item_ids": [1], "patch": {}, "patches": [{"item_id": 2}]},
        {"item_ids": [0], "patch": {}},
        {"item_ids": list(range(1, 502)), "patch": {}},
        {"patches": [{"item_id": number} for number in range(1, 502)]},
        {"item_ids": [1], "patch": {"item_id": 2}},
        {"item_ids": [1], "patch": {"rule_status": "pass"}},
    ],
)
async def test_what_is_no_bulk(office: Office, body: dict[str, Any]) -> None:
    answer = await bulk(office, body)
    assert answer.status_code == 422, answer.text


async def test_a_null_where_none_may_be_refuses_that_item_only(office: Office) -> None:
    ids = [item["id"] for item in (await office.judge(disk="fail", tape="fail")).values()]
    patches = [{"item_id": ids[0], "status": None}, {"item_id": ids[1], "status": "blocked"}]
    outcomes = (await bulk(office, {"patches": patches})).json()["items"]
    assert [one["outcome"] for one in outcomes] == ["refused", "applied"]
    assert outcomes[0]["problem"]["status"] == 422


async def test_bulks_across_boards_in_any_order_never_wait_in_a_circle(desk: Desk) -> None:
    """Each in a transaction and on a connection of its own; a deadlock would raise."""
    for gate in ("operations", "release", "third", "fourth"):
        await desk.decided({f"r{number}": "fail" for number in range(6)}, gate=gate)
    ids = [item.id for gate in ("operations", "release", "third", "fourth") for item in await desk.listed(gate=gate)]
    rng = random.Random(7)

    async def one(number: int) -> None:
        chosen = rng.sample(ids, 16)
        patches = [{"item_id": item_id, "assignee": f"p{number}"} for item_id in chosen]
        applied = await desk.order(patch_bulk, BulkPatch.model_validate({"patches": patches}))
        assert applied.ended[0].http_status == 200

    for _ in range(6):
        await asyncio.gather(*(one(number) for number in range(8)))


async def test_a_completed_board_opens_again_for_work_and_not_for_labels(office: Office) -> None:
    items = await office.judge(disk="pass", tape="warning")
    item_id = items["tape"]["id"]
    await office.judge(disk="pass", tape="pass")
    admin = await office.http.stack.superuser()
    try:
        await admin.execute(
            "UPDATE tracker.board SET completion_status = 'completed', completed_by = 'x', completed_at = now() "
            "WHERE site = 'north'"
        )
        for patch, status in (({"add_labels": ["a"]}, "completed"), ({"assignee": "bob"}, "active")):
            answer = await bulk(office, {"item_ids": [item_id], "patch": patch})
            assert answer.json()["applied_count"] == 1
            found = await admin.fetchval("SELECT completion_status FROM tracker.board WHERE site = 'north'")
            assert found == status
    finally:
        await admin.close()
