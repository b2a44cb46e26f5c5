"""The board as people use it: by mouse, by keys, together with others."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.console.conftest import Visitor
from tests.console.filling import GATE, Filled, ok
from tests.console.test_accessible import violations
from tests.local_traffic import await_that

CROWD = 500
ITEMS = "/api/ops/governance/gate/remediation/tracker/items"
CALENDAR = "/api/ops/governance/gate/remediation/tracker/sla/calendar"


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


@pytest.mark.parametrize("key", ["ㅓ", "Process"])
def test_keys_work_while_an_input_method_writes_hangul(visit: Visitor, key: str) -> None:
    page = visit("/board", role="operator", language="ko")
    expect(page.locator("tr[aria-rowindex='4']")).to_be_visible()
    keyboard = page.context.new_cdp_session(page)

    def press(key: str, code: str, **more: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            keyboard.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code, **more})

    press(key, "KeyJ")
    press(key, "KeyJ")
    expect(page.locator("tr.at")).to_have_attribute("aria-rowindex", "3")
    press("ㅏ", "KeyK", modifiers=8)  # with Shift it is another key
    press("ㅏ", "KeyK")
    expect(page.locator("tr.at")).to_have_attribute("aria-rowindex", "2")
    press("ㅁ", "KeyA")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.locator("input").first.press("j")  # in a field it is a letter
    expect(page.locator("tr.at")).to_have_attribute("aria-rowindex", "2")


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


def _crowd(route: Route) -> None:
    """The answer of the API with its items many times over."""
    answer = route.fetch()
    found = answer.json()
    items = [found["items"][number % len(found["items"])] | {"id": 10_000 + number} for number in range(CROWD)]
    route.fulfill(response=answer, json={**found, "items": items, "next_cursor": None})


def test_of_many_items_only_those_in_sight_are_in_the_page_and_the_one_in_hand(visit: Visitor) -> None:
    page = visit("/me", role="operator")
    page.route(f"**{ITEMS}/page*", _crowd)
    page.goto(f"/console/board?gate={GATE}")
    expect(page.locator(f"table.board[aria-rowcount='{CROWD + 1}']")).to_be_visible()
    status = page.locator("tr[aria-rowindex='4'] select")
    status.focus()
    box = page.locator(".board-scroll")
    for share, seen in ((1, CROWD + 1), (0.5, CROWD // 2 + 6), (0, 2)):
        box.evaluate("(box, share) => { box.scrollTop = share * box.scrollHeight; }", share)
        expect(page.locator(f"tr[aria-rowindex='{seen}']")).to_be_in_viewport()
        expect(page.locator(f"tr[aria-rowindex='{seen}'] select")).to_be_visible()  # what flew past is whole again
        expect(status).to_be_focused()
        rows = page.locator("tbody tr").evaluate_all("rows => rows.map(row => Number(row.ariaRowIndex))")
        assert rows == sorted(set(rows)), "for who reads by ear they stand in their order, too"
        assert 4 in rows
        assert len(rows) < 60
    status.blur()
    box.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(status).to_have_count(0)
    # A list that gets shorter while it flies past settles, too: what was not in sight before can be worked with.
    page.locator("#board-search").fill("#101")
    table = page.locator("table.board")
    expect(table).not_to_have_attribute("aria-rowcount", str(CROWD + 1))
    last = page.locator(f"tr[aria-rowindex='{table.get_attribute('aria-rowcount')}']")
    expect(last).to_be_in_viewport()
    expect(last.locator("select")).to_be_visible()


def _is(item: dict[str, Any], **wanted: str) -> bool:
    return all(item[name] == value for name, value in wanted.items())


def test_closed_days_of_the_sites_calendar_are_marked_and_said(visit: Visitor, filled: Filled) -> None:
    site, nasty = {"site": "closed-1"}, "<img src=x onerror=alert(1)>"
    office = {
        "zone": "Asia/Seoul",
        "week": {name: ["09:00-18:00"] for name in ("monday", "tuesday", "wednesday", "thursday", "friday")},
        "holidays": {"country": "KR"},
    }
    own = office | {"days": [{"date": "2026-05-04", "name": nasty}, {"date": "2026-05-09", "hours": ["10:00-12:00"]}]}
    with filled.http() as http:
        ok(http.post("/api/sites", json=site | {"title": "Closed at times"}))
        ok(http.post("/api/gates/operations/runs", params=site, json={}))
        await_that("its items", lambda: ok(http.get(ITEMS, params=site)))
        page = visit()
        page.get_by_label("Site").select_option("closed-1")
        page.goto("/console/board?view=calendar&month=2026-05")

        def day(date: str) -> Locator:
            return page.locator("table.month td").filter(has=page.locator(f'time[datetime="{date}"]'))

        expect(day("2026-05-05")).to_have_text("5")
        expect(page.locator(".month .closed")).to_have_count(0)  # without a calendar time runs day and night
        ok(http.put(CALENDAR, params=site, json={"content": own, "reason": "office hours"}))
        expect(day("2026-05-05")).to_have_text(re.compile("^5 closed: 어린이날$"))  # by itself
        expect(day("2026-05-10")).to_have_text("10 closed")
        expect(day("2026-05-10")).to_have_class(re.compile("closed"))
        expect(day("2026-05-04")).to_have_text(f"4 closed: {nasty}")
        expect(day("2026-05-09")).to_have_text("9")  # a Saturday at work
        expect(day("2026-05-11")).to_have_text("11")
        expect(page.get_by_text("On these days no deadline runs (the site's calendar, Asia/Seoul).")).to_be_visible()
        assert violations(page) == []
        page.get_by_role("button", name="The month after").click()
        expect(day("2026-06-06")).to_have_text(re.compile("closed: 현충일"))
