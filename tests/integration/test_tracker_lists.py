"""Lists of items: every condition, every order, and pages that hold each item once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.common.contracts.tracker.item_lists import ItemPageFilter
from libs.common.contracts.tracker.items import BASE, Item, ItemPatch, patch_item
from libs.common.problems import Invalid
from services.tracker import item_lists
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_office import Office

pytestmark = pytest.mark.integration


@pytest.fixture
async def items(desk: Desk) -> dict[str, Item]:
    """Six items that differ in everything one can look for; z is resolved."""
    await desk.decided({"a": "fail", "b": "fail", "c": "warning", "z": "fail"})
    desk.later(3)
    await desk.decided({"a": "fail", "b": "fail", "c": "warning", "d": "fail", "e": "warning", "z": "pass"})
    found = await desk.items()
    patches: dict[str, dict[str, Any]] = {
        "a": {"assignee": "ann", "add_labels": ["db", "net"]},
        "b": {"assignee": "bob", "status": "blocked"},
        "e": {"assignee": "ann", "status": "done"},
        "c": {"add_labels": ["db"]},
    }
    for rule, patch in patches.items():
        desk.now += timedelta(seconds=1)
        await desk.order(patch_item, ItemPatch.model_validate({"item_id": found[rule].id, **patch}))
    return await desk.items()


async def rules(desk: Desk, **wanted: Any) -> list[str]:
    return [item.rule_id for item in await desk.listed(**wanted)]


async def test_each_condition(desk: Desk, items: dict[str, Item]) -> None:
    assert set(await rules(desk)) == set("abcde")
    assert set(await rules(desk, include_inactive=True)) == set("abcdez")
    assert await rules(desk, assignee="bob") == ["b"]
    assert set(await rules(desk, assignee="me")) == {"a", "e"}, "ann asks"
    assert set(await rules(desk, assignee="none")) == {"c", "d"}
    assert set(await rules(desk, label="db")) == {"a", "c"}
    assert await rules(desk, label="db", assignee="none") == ["c"]
    assert await rules(desk, rule_id="d") == ["d"]
    assert await rules(desk, status="blocked") == ["b"]
    assert set(await rules(desk, owner_role=items["a"].owner_role)) == set("abcde")
    assert await rules(desk, owner_role="Nobody") == []
    assert set(await rules(desk, text=items["a"].reason.upper())) >= {"a"}
    assert await rules(desk, text="%") == [], "a phrase is no pattern"
    due = items["d"].due_at
    assert due is not None
    assert set(await rules(desk, due_before=due)) == set("abc")
    assert await rules(desk, overdue=True) == []
    desk.now = due + timedelta(seconds=1)
    assert set(await rules(desk, overdue=True)) == set("abcd"), "what is done is not overdue"
    assert await rules(desk, overdue=True, assignee="me") == ["a"]


async def test_each_order_and_its_pages(desk: Desk, items: dict[str, Item]) -> None:
    assert (await rules(desk, sort="updated"))[:2] == ["c", "e"]
    await desk.pool.execute(
        "UPDATE item SET due_at = NULL, sla_hours = NULL WHERE site = $1 AND rule_id = ANY ($2)", desk.site, list("ace")
    )
    by_due = await rules(desk, sort="due")
    assert (set(by_due[:2]), set(by_due[2:])) == ({"b", "d"}, {"a", "c", "e"}), "without a deadline comes last"
    for sort in ("priority", "due", "updated"):
        for more in ({}, {"assignee": "me"}, {"subject": "site", "include_inactive": True}):
            whole = [item.id for item in await desk.listed(sort=sort, **more)]
            seen: list[int] = []
            cursor: str | None = None
            while True:
                wanted = ItemPageFilter.model_validate({"sort": sort, "limit": 2, "cursor": cursor, **more})
                page = orjson.loads(await item_lists.page_items(desk.read(), wanted))
                seen += [item["id"] for item in page["items"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert seen == whole, (sort, more)


async def test_a_cursor_of_another_order_is_refused(desk: Desk, items: dict[str, Item]) -> None:
    page = orjson.loads(await item_lists.page_items(desk.read(), ItemPageFilter(sort="due", limit=1)))
    for sort in ("priority", "updated"):
        wanted = ItemPageFilter.model_validate({"sort": sort, "cursor": page["next_cursor"]})
        with pytest.raises(Invalid):
            await item_lists.page_items(desk.read(), wanted)


async def test_over_http_a_page_links_to_the_next_and_me_is_the_caller(office: Office) -> None:
    items = await office.judge(disk="fail", tape="fail", fan="warning")
    bob = await office.http.user("bob", "operator")
    for name, who in (("disk", "bob"), ("tape", "owner"), ("fan", "bob")):
        await office.ask("PATCH", f"/items/{items[name]['id']}", json={"assignee": who})
    mine = await office.ask("GET", "/items", bob, params={"assignee": "me", "sort": "due"})
    assert [item["rule_id"] for item in mine.json()] == ["disk", "fan"], mine.text
    page = await office.ask("GET", "/items/page", bob, params={"assignee": "me", "limit": 1})
    assert [item["rule_id"] for item in page.json()["items"]] == ["disk"]
    assert page.headers["Link"].startswith(f"<{BASE}/items/page?")
    rest = await office.ask(
        "GET", "/items/page", bob, params={"assignee": "me", "limit": 1, "cursor": page.json()["next_cursor"]}
    )
    assert ([item["rule_id"] for item in rest.json()["items"]], rest.json()["next_cursor"]) == (["fan"], None)
    for wrong in ({"sort": "x"}, {"text": "a\x00b"}, {"due_before": "2026-01-01"}, {"assignee": ""}, {"limit": 501}):
        answer = await office.ask("GET", "/items", params=wrong)
        assert answer.status_code == 422, wrong
