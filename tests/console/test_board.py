"""The board as people use it: by mouse, by keys, together with others."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Route, expect

from tests.console.conftest import Visitor
from tests.console.filling import GATE, Filled, ok
from tests.local_traffic import await_that

ITEMS = "/api/ops/governance/gate/remediation/tracker/items"


def test_an_item_is_found_assigned_and_moved_by_keys_alone(visit: Visitor, filled: Filled) -> None:
    page = visit("/board", role="operator")
    expect(page.locator("table.board tbody tr[aria-rowindex]").first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("preflight")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    row = page.locator("tr.at")
    expect(row).to_be_visible()
    page.keyboard.press("a")
    page.get_by_role("dialog").get_by_label("Assignee").fill("mia")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("mia")
    page.keyboard.press("s")
    expect(row.get_by_role("combobox")).to_be_focused()
    row.get_by_role("combobox").select_option("in_progress")
    number = int(str(row.get_attribute("id")).removeprefix("item-"))
    with filled.http() as http:
        await_that("both changes", lambda: _is(ok(http.get(f"{ITEMS}/{number}")), assignee="mia", status="in_progress"))


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"412 PATCH")
    page = visit(f"/board?gate={GATE}", role="operator")
    row = page.locator(f"#item-{filled.item}")
    status = row.get_by_role("combobox")
    expect(status).to_have_value("in_progress")
    with filled.http() as http:

        def before(route: Route) -> None:
            ok(http.patch(f"{ITEMS}/{filled.item}", json={"status": "blocked"}))
            route.continue_()

        page.route(f"**{ITEMS}/{filled.item}*", before, times=1)
        status.select_option("pending")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(status).to_have_value("blocked")
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"status": "in_progress"}))
        expect(status).to_have_value("in_progress")


def test_what_others_do_is_seen_at_once(visit: Visitor, filled: Filled) -> None:
    page = visit(f"/board?gate={GATE}", role="viewer")
    row = page.locator(f"#item-{filled.item}")
    expect(row).to_contain_text("olga")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    with filled.http() as http:
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"assignee": "mia"}))
        expect(row).to_contain_text("mia", timeout=10_000)
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"assignee": "olga"}))
    expect(row).to_contain_text("olga", timeout=10_000)
    expect(row.get_by_role("combobox")).to_have_count(0)  # who may only look is offered nothing


def test_an_item_tells_all_that_is_known_of_it(visit: Visitor, filled: Filled) -> None:
    page = visit(f"/board?gate={GATE}&item={filled.item}", role="operator")
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("1 of 2 tests failed")
    expect(drawer).to_contain_text("Looking into it.")
    expect(drawer).to_contain_text("opened it")
    drawer.get_by_label("Your comment").fill("<img src=x onerror=alert(1)>")
    drawer.get_by_role("button", name="Comment", exact=True).click()
    expect(drawer.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_many_are_changed_by_one_order(visit: Visitor) -> None:
    page = visit("/board?q=r", role="manager")
    expect(page.locator("tr[aria-rowindex='4']")).to_be_visible()
    for _ in range(3):
        page.keyboard.press("j")
        page.keyboard.press("x")
    bar = page.get_by_role("region", name="What to do with the chosen items")
    expect(bar).to_contain_text("3 items chosen")
    bar.get_by_role("button", name="blocked").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 items changed")


def _is(item: dict[str, Any], **wanted: str) -> bool:
    return all(item[name] == value for name, value in wanted.items())
