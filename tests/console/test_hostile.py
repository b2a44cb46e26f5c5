"""Text that would like to be a program stays text, wherever people can write it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import GATE, PEOPLE, Filled, judge, ok, report
from tests.console.routes import address, patterns

HOSTILE = '<img src=x onerror="window.pwned=1">"\'><script>window.pwned=1</script>{{7*7}}'
FAILING = (
    '<testsuite name="s"><testcase classname="c" name="&lt;img src=x onerror=window.pwned=1&gt;">'
    '<failure message="&lt;script&gt;window.pwned=1&lt;/script&gt;"/></testcase></testsuite>'
)
ITEMS = "/api/ops/governance/gate/remediation/tracker/items"


def test_nothing_that_people_wrote_runs(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"40[34] GET .*/(traces/|keeper/|latest$|draft$)")
    with filled.http() as http:
        ok(http.patch(f"{ITEMS}/{filled.item}", json={"completion_note": HOSTILE, "add_labels": [HOSTILE[:50]]}))
        ok(http.post(f"{ITEMS}/{filled.item}/comments", json={"text": HOSTILE}))
        ok(http.patch(f"/api/users/{PEOPLE['viewer']}", json={"display_name": HOSTILE[:60]}))
        report(http, "junit", "9.9.9", FAILING.encode(), subject="hostile")
        run = judge(http, "9.9.9", subject="hostile")
        halt = ok(http.post("/api/halts", json={"reason": HOSTILE[:200], "subjects": "hostile"}))
    page = visit()
    for pattern in patterns():
        page.goto(f"/console{address(pattern, filled)}")
        page.locator("main .spinner").first.wait_for(state="detached")
        assert page.evaluate("window.pwned") is None, pattern
    for place in (
        f"/gates/{GATE}/runs/{run['run_id']}",
        f"/board?gate={GATE}&item={filled.item}",
        "/admin/users/viktor",
        "/?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
    ):
        page.goto(f"/console{place}")
        page.locator(".spinner").first.wait_for(state="detached")
        assert page.evaluate("window.pwned") is None, place
    page.goto(f"/console/board?gate={GATE}&item={filled.item}")
    expect(page.get_by_role("dialog").get_by_text(HOSTILE).first).to_be_visible()
    with filled.http() as http:  # else what others judge here would be held
        ok(http.post(f"/api/halts/{halt['halt_id']}/lift", json={"reason": "it was seen"}))
