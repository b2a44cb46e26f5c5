"""The board in several hands: what the keys are at, what is refused, what is over, and what is heard while it loads."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.console.conftest import Visitor
from tests.console.filling import FAILED, GATE, PASSED, Filled, judge, ok, report
from tests.console.test_accessible import violations
from tests.console.test_board import ITEMS
from tests.local_traffic import await_that

ON_TOP = """one => { const { x, y, width, height } = one.getBoundingClientRect();
  return one.contains(document.elementFromPoint(x + width / 2, y + height / 2)); }"""


def _item(filled: Filled, subject: str) -> int:
    """The item of a subject whose tests failed."""
    with filled.http() as http:
        report(http, "junit", "1.0", FAILED, subject=subject)
        judge(http, "1.0", subject=subject)
        wanted = {"gate": GATE, "subject": subject, "rule_id": "tests_pass"}
        return int(await_that("its item", lambda: ok(http.get(ITEMS, params=wanted)))[0]["id"])


def _mended(filled: Filled, subject: str, number: int) -> None:
    with filled.http() as http:
        report(http, "junit", "1.0", PASSED, subject=subject)
        judge(http, "1.0", subject=subject)
        await_that("it is resolved", lambda: not ok(http.get(f"{ITEMS}/{number}"))["is_active"])


def _patch(filled: Filled, number: int, **fields: Any) -> None:
    with filled.http() as http:
        ok(http.patch(f"{ITEMS}/{number}", json=fields))


def test_what_is_refused_beside_an_open_item_is_seen_and_can_be_put_away(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"412 PATCH")
    number = _item(filled, "refused")
    page = visit(f"/board?gate={GATE}&item={number}", role="operator")
    drawer = page.locator("dialog.drawer")

    def before(route: Route) -> None:
        _patch(filled, number, assignee="mia")
        route.continue_()

    drawer.get_by_role("button", name="Assign", exact=True).click()
    page.route(f"**{ITEMS}/{number}*", before, times=1)
    dialog = page.locator("dialog.modal")
    dialog.get_by_label("Assignee").fill("viktor")
    dialog.get_by_role("button", name="Assign", exact=True).click()
    refusal = drawer.get_by_role("alert")
    expect(refusal).to_be_in_viewport()
    assert refusal.evaluate(ON_TOP), "nothing lies over it"
    expect(page.get_by_role("alert")).to_have_count(1)  # it is said once
    drawer.locator(".notice").get_by_role("button", name="Close").click()
    expect(refusal).to_have_count(0)
    expect(drawer).to_contain_text("mia")
    _patch(filled, number, status="blocked")
    page.keyboard.press("Escape")
    expect(page.locator(f"#item-{number} select")).to_have_value("blocked")


def _cards(page: Page) -> Any:
    return page.locator(".board-card").evaluate_all("cards => cards.map(card => card.id)")


def test_in_columns_the_keys_are_at_a_card_that_is_marked(visit: Visitor) -> None:
    page = visit("/board?view=columns", role="operator")
    at = page.locator(".board-card.at")
    expect(page.locator(".board-card").nth(2)).to_be_visible()
    cards = _cards(page)
    for place in (0, 1, 2):
        page.keyboard.press("j")
        expect(at).to_have_attribute("id", cards[place])
    page.keyboard.press("k")
    expect(at).to_have_attribute("id", cards[1])
    expect(at).to_be_in_viewport()
    name = at.get_by_role("button").inner_text()
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_contain_text(f"Assign: {name}")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(at.get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_role("region", name="What to do with the chosen items")).to_contain_text("1 item chosen")
    page.keyboard.press("Escape")
    expect(at.get_by_role("checkbox")).not_to_be_checked()
    page.keyboard.press("s")
    expect(at.get_by_role("combobox")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("dialog.drawer")).to_contain_text(name)
    page.keyboard.press("Escape")
    assert violations(page) == []


def test_the_keys_go_on_where_the_drawn_cards_end(visit: Visitor) -> None:
    page = visit("/me", role="operator")

    def many(route: Route) -> None:
        found = route.fetch().json()
        items = [found["items"][0] | {"id": 10_000 + number, "status": "pending"} for number in range(80)]
        route.fulfill(json={**found, "items": items, "next_cursor": None})

    page.route(f"**{ITEMS}/page*", many)
    page.goto(f"/console/board?gate={GATE}&view=columns")
    expect(page.locator(".board-card")).to_have_count(50)
    for _ in range(60):
        page.keyboard.press("j")
    expect(page.locator(".board-card.at")).to_have_attribute("id", "item-10059")
    expect(page.locator(".board-card.at")).to_be_in_viewport()


def test_on_the_calendar_keys_do_nothing_to_an_item_that_nobody_sees(visit: Visitor) -> None:
    page = visit("/board", role="operator")
    expect(page.locator("tr[aria-rowindex='3']")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_be_visible()
    page.get_by_role("button", name="Calendar").click()
    expect(page.locator("table.month")).to_be_visible()
    page.locator("h1").focus()
    for key in ("a", "Enter", "c"):
        for pressed in ("j", key, "?"):
            page.keyboard.press(pressed)
        expect(page.get_by_role("dialog")).to_contain_text("Keys are on")  # and no other one
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_goes_from_under_the_keys_leaves_them_at_nothing(visit: Visitor, filled: Filled) -> None:
    number = _item(filled, "slips")
    page = visit(f"/board?gate={GATE}&status=pending", role="operator")
    row = page.locator(f"#item-{number}")
    row.locator("td").last.click()
    expect(page.locator("tr.at")).to_have_attribute("id", f"item-{number}")
    place = int(str(row.get_attribute("aria-rowindex")))
    _patch(filled, number, status="blocked")
    expect(row).to_have_count(0)
    expect(page.locator("tr.at")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_have_count(0)  # it is not given to whoever stands there now
    page.keyboard.press("k")
    expect(page.locator("tr.at")).to_have_attribute("aria-rowindex", str(max(2, place - 1)))


def _deeds(drawer: Locator) -> Locator:
    names = ("Take it", "Hand over", "Give back", "Claim it done", "Acknowledge", "Let it rest")
    return drawer.get_by_role("button", name=re.compile(f"^({'|'.join(names)})$"))


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({"assignee": ""}, ["Take it", "Claim it done", "Acknowledge", "Let it rest"]),
        ({"assignee": "mia"}, ["Hand over", "Give back", "Claim it done", "Acknowledge", "Let it rest"]),
        ({"assignee": "olga"}, ["Claim it done", "Acknowledge", "Let it rest"]),
        ({"assignee": "olga", "status": "done"}, []),
        ({"assignee": "mia", "status": "done"}, []),
    ],
)
def test_an_item_offers_what_would_not_be_refused(
    visit: Visitor, filled: Filled, fields: dict[str, str], offered: list[str]
) -> None:
    number = _item(filled, "offered")
    _patch(filled, number, **{"status": "in_progress"} | fields)
    page = visit(f"/board?gate={GATE}&item={number}", role="manager")
    drawer = page.locator("dialog.drawer")
    expect(drawer).to_contain_text("opened it")
    expect(drawer.get_by_text("not begun")).to_be_visible()
    expect(_deeds(drawer)).to_have_text(offered)


def test_what_is_resolved_leaves_a_board_of_what_is_open(visit: Visitor, filled: Filled) -> None:
    one, other = _item(filled, "over-1"), _item(filled, "over-2")
    page = visit(f"/board?gate={GATE}&q=over-", role="operator")
    rows = {number: page.locator(f"#item-{number}") for number in (one, other)}
    for row in rows.values():
        expect(row).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    rows[other].locator("td").last.click()  # under the keys
    for subject, number in (("over-1", one), ("over-2", other)):
        _mended(filled, subject, number)
    expect(rows[one]).to_have_count(0)
    expect(rows[other]).to_contain_text("resolved")
    expect(rows[other]).to_have_class(re.compile("at"))
    page.get_by_label("Resolved too").check()
    expect(rows[one]).to_contain_text("resolved")


def test_an_open_item_of_another_board_stays_off_this_one(visit: Visitor, filled: Filled) -> None:
    number = _item(filled, "afar")
    page = visit(f"/board?item={number}", role="operator")
    drawer = page.locator("dialog.drawer")
    drawer.get_by_label("Add a label").fill("far away")
    drawer.get_by_label("Add a label").press("Enter")
    expect(drawer.locator(".chip", has_text="far away")).to_be_visible()
    _patch(filled, number, status="blocked")  # and what others do to it is seen
    expect(drawer.locator("dd .chip", has_text="blocked")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(page.locator("table.board tbody tr[aria-rowindex]").first).to_be_visible()
    expect(page.locator(f"#item-{number}")).to_have_count(0)


def test_what_happens_to_others_makes_nobody_ask_about_the_open_one(visit: Visitor, filled: Filled) -> None:
    number, other = _item(filled, "quiet-1"), _item(filled, "quiet-2")
    page = visit(f"/board?gate={GATE}&item={number}", role="operator")
    asked: list[str] = []
    expect(page.locator("dialog.drawer")).to_contain_text("opened it")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.wait_for_timeout(1_000)  # what is asked anew since the line began
    page.on("request", lambda request: asked.append(request.url) if f"{ITEMS}/" in request.url else None)
    with filled.http() as http:
        ok(http.post(f"{ITEMS}/{other}/comments", json={"text": "Elsewhere."}))
    _patch(filled, other, status="blocked")
    expect(page.locator(f"#item-{other} select")).to_have_value("blocked")
    page.wait_for_timeout(1_000)
    assert asked == []
    with filled.http() as http:
        ok(http.post(f"{ITEMS}/{number}/comments", json={"text": "Here."}))
        ok(http.post(f"{ITEMS}/{number}/links", json={"title": "The run", "url": "https://ci.example.com/7"}))
    for text in ("Here.", "The run"):
        expect(page.locator("dialog.drawer")).to_contain_text(text)
    _patch(filled, number, status="blocked")
    expect(page.locator("dialog.drawer ol.changes")).to_contain_text("status: pending → blocked")


def test_what_is_heard_while_the_board_loads_is_put_over_the_answer(visit: Visitor, filled: Filled) -> None:
    number = _item(filled, "busy")
    page = visit("/me", role="operator")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    asked: list[str] = []

    def slow(route: Route) -> None:
        answer = route.fetch()
        asked.append(route.request.url)
        if len(asked) == 1:
            for status in ("blocked", "in_progress", "blocked"):
                _patch(filled, number, status=status, assignee="mia")
                time.sleep(0.5)  # the page hears of it meanwhile
        route.fulfill(response=answer)

    page.route(re.compile(f"{ITEMS}/page.*gate={GATE}"), slow)
    page.get_by_role("link", name="Board").click()
    page.get_by_label("Gate").select_option(GATE)
    row = page.locator(f"#item-{number}")
    expect(row.get_by_role("combobox")).to_have_value("blocked")
    expect(row).to_contain_text("mia")
    _patch(filled, number, status="in_progress")
    expect(row.get_by_role("combobox")).to_have_value("in_progress")
    page.wait_for_timeout(1_000)
    assert len(asked) == 1, "each event would have asked for all of it again"
