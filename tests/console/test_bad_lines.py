"""A line that is slow, or lost: said, resumed, and nothing done twice."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Request, expect

from tests.console.conftest import Visitor
from tests.console.filling import GATE, Filled, ok
from tests.console.line import Line

ITEMS = "/api/ops/governance/gate/remediation/tracker/items"
# What the developers' tools of browsers call "slow 3G": bytes a second, and milliseconds.
SLOW = {"offline": False, "latency": 400, "downloadThroughput": 62_500, "uploadThroughput": 62_500}


def slow(page: Page) -> None:
    """From now on this page has a bad line."""
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)


def test_a_lost_line_is_shown_and_what_happened_meanwhile_is_made_up(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"failed: GET .*/api/")
    with Line(filled.stack.gateway_url) as line:
        _lose(visit(f"/board?gate={GATE}", role="viewer", by=line.url), line, filled)


def _lose(page: Page, line: Line, filled: Filled) -> None:
    row = page.locator(f"#item-{filled.item}")
    expect(row).to_contain_text("olga")
    with filled.http() as http:
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"add_labels": ["seen"]}))  # so that there is a position
        line.cut()
        expect(page.get_by_text(re.compile("^Line lost"))).to_be_visible(timeout=60_000)
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"assignee": "mia"}))
        line.mend()
        expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=60_000)
        expect(row).to_contain_text("mia")
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"assignee": "olga"}))
    expect(row).to_contain_text("olga")


def test_on_a_slow_line_it_says_that_it_loads_and_orders_once(visit: Visitor, filled: Filled) -> None:
    page = visit(role="operator")
    slow(page)
    page.goto(f"/console/board?gate={GATE}", wait_until="commit")
    expect(page.locator("main .spinner").first).to_be_visible()
    row = page.locator(f"#item-{filled.item}")
    expect(row).to_be_visible(timeout=60_000)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.goto(f"/console/board?gate={GATE}&item={filled.item}")
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Your comment").fill("Once.")
    button = drawer.get_by_role("button", name="Comment", exact=True)
    button.dispatch_event("click")
    button.dispatch_event("click")
    expect(drawer.locator("p.said", has_text="Once.")).to_have_count(1, timeout=60_000)
    assert len([request for request in sent if request.url.partition("?")[0].endswith("/comments")]) == 1


def test_an_answer_that_gets_lost_is_asked_for_again_under_the_same_key(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"failed: POST .*/comments")
    page = visit(f"/board?gate={GATE}&item={filled.item}", role="operator")
    keys: list[str] = []

    def lose(route: object, request: Request) -> None:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()  # type: ignore[attr-defined]  # it is done, and nobody hears of it
            route.abort("connectionreset")  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route(
        "**/comments*", lambda route, request: lose(route, request) if request.method == "POST" else route.continue_()
    )
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Your comment").fill("Heard once.")
    drawer.get_by_role("button", name="Comment", exact=True).click()
    expect(drawer.locator("p.said", has_text="Heard once.")).to_have_count(1)
    assert len(keys) == 2
    assert len(set(keys)) == 1
