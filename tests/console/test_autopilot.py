"""The autopilot in the browser: a plan that is read first and done just so, or refused; the switch; the policy."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok
from tests.local_traffic import OPS, await_that

TRACKER = f"{OPS}/remediation/tracker"


def _nobodys(filled: Filled) -> int:
    """An item that nobody has, so that there is something to plan whatever the clock has had done before."""
    with filled.http() as http:
        item = ok(http.get(f"{TRACKER}/items"))[-1]
        ok(http.patch(f"{TRACKER}/items/{item['id']}", json={"assignee": None, "status": "pending"}))
    return int(item["id"])


def _preview(page: Page) -> None:
    page.get_by_role("checkbox", name="All actions, mind no cooldown").check()
    page.get_by_role("button", name="Preview").click()


def _run(page: Page) -> None:
    page.get_by_role("button", name="Run this plan").click()
    page.get_by_role("dialog").get_by_role("button", name="Do it").click()


def test_a_plan_is_done_as_it_was_read_or_not_at_all_and_can_be_taken_back(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"409 POST .*/autopilot/run")
    item = _nobodys(filled)
    page = visit("/autopilot", role="manager")
    _preview(page)
    step = page.get_by_role("region", name="Steps").get_by_role("row").filter(has_text=f"#{item} ").first
    expect(step).to_contain_text("given to")
    expect(step).to_contain_text("least load")
    with filled.http() as http:
        ok(http.patch(f"{TRACKER}/items/{item}", json={"status": "blocked"}))
    _run(page)
    refused = page.locator("#plan .stale")
    expect(refused).to_contain_text("can't be done just as it was approved")
    expect(refused.get_by_role("link", name=f"#{item} ").first).to_be_visible()
    expect(page.get_by_role("button", name="Run this plan")).to_have_count(0)
    with filled.http() as http:
        assert ok(http.get(f"{TRACKER}/items/{item}"))["assignee"] is None
    refused.get_by_role("button", name="Preview again").click()
    _run(page)
    expect(page.locator("#plan")).to_contain_text("touched")
    with filled.http() as http:
        await_that("the item is given out", lambda: ok(http.get(f"{TRACKER}/items/{item}"))["assignee"])
    page.get_by_role("region", name="Runs").get_by_role("button").first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text(f"#{item} ")
    drawer.get_by_role("button", name="Take this run back").click()
    drawer.get_by_label("Reason").fill("It was only a rehearsal.")
    page.keyboard.press("Enter")
    expect(drawer).to_contain_text("taken back")
    with filled.http() as http:
        assert ok(http.get(f"{TRACKER}/items/{item}"))["assignee"] is None


def test_it_is_stopped_and_let_act_again_by_keys(visit: Visitor, filled: Filled) -> None:
    page = visit("/autopilot", role="manager")
    for button, said in (("Stop it", "stopped"), ("Let it act again", "may act")):
        page.get_by_role("button", name=button).focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_label("Reason").focus()
        page.keyboard.type("We move house")
        page.keyboard.press("Enter")
        expect(page.locator(".title-side .chip").first).to_have_text(said)
    with filled.http() as http:
        assert ok(http.get(f"{TRACKER}/autopilot/guard"))["switch"]["stopped"] is False


def test_other_settings_are_tried_before_they_are_saved(visit: Visitor, filled: Filled) -> None:
    page = visit("/autopilot")
    page.get_by_role("button", name="Change settings").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Minutes between runs that act").fill("45")
    drawer.get_by_label("Only records what it would do").select_option("yes")
    drawer.get_by_role("button", name="Preview with these").click()
    expect(page.locator("#plan")).to_contain_text("settings that nobody has saved")
    expect(page.get_by_role("button", name="Run this plan")).to_have_count(0)
    with filled.http() as http:
        assert ok(http.get(f"{TRACKER}/autopilot/policy"))["policy"]["cooldown_minutes"] == 30
    page.get_by_role("button", name="Change settings").click()
    drawer.get_by_label("Minutes between runs that act").fill("45")
    drawer.get_by_label("Reason").fill("Fewer runs at night")
    drawer.get_by_role("button", name="Save").click()
    expect(page.get_by_text("This site's own, version 1.")).to_be_visible()
    with filled.http() as http:
        policy = ok(http.get(f"{TRACKER}/autopilot/policy"))["policy"]
    assert (policy["cooldown_minutes"], policy["shadow"]) == (45, False)


def test_who_may_only_look_is_offered_nothing(visit: Visitor) -> None:
    page = visit("/autopilot", role="viewer")
    expect(page.get_by_role("heading", name="What looks wrong")).to_be_visible()
    expect(page.get_by_text("Minutes between runs that act")).to_be_visible()
    for name in ("Preview a run", "Stop it", "Change settings"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
