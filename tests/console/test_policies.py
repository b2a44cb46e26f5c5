"""Policies as people write them: keys offered, checked, tried on what was decided, approved, published, rolled back."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import POLICY, Filled, ok

MISSING = r"404 GET .*/draft"  # a gate without a draft is answered 404
# Chromium copies the look of a selection onto what is typed over it; the policy refuses that, the editor draws it anew.
TYPED_OVER = r"Applying inline style violates"


def _policy(filled: Filled, gate: str, text: str = POLICY) -> None:
    with filled.http() as http:
        content = text.replace("name: first", f"name: {gate}")
        ok(http.put(f"/api/policies/{gate}", json={"content": content, "reason": "to begin with"}))


def _at_end_of(page: Page, text: str) -> None:
    page.locator(".cm-line", has_text=text).first.click()
    page.keyboard.press("End")


def test_the_list_says_what_is_in_force_and_what_is_being_written(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    _policy(filled, "listed")
    with filled.http() as http:
        ok(http.put("/api/policies/listed/draft", json={"content": "name: other"}))
    page = visit("/policies", role="viewer")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="listed", exact=True))
    expect(row).to_contain_text("1 problem")
    expect(row).to_contain_text("owner")
    expect(page.get_by_role("row").filter(has_text="Operations gate")).to_contain_text("file")
    expect(page.get_by_role("button", name="Write it")).to_have_count(0)  # who may only read is offered nothing
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Policy of listed")
    expect(page.get_by_text("You may read this and not change it.")).to_be_visible()
    expect(page.get_by_role("button", name="Publish…")).to_have_count(0)


def test_keys_and_words_are_offered_by_the_schema(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    _policy(filled, "offered")
    page = visit("/policies/offered")
    _at_end_of(page, "title: The first gate")
    page.keyboard.press("Enter")
    page.keyboard.type("dig")
    options = page.locator(".cm-tooltip-autocomplete li")
    expect(options).to_have_text(["digest"])
    page.wait_for_timeout(200)  # CodeMirror takes no Enter in the first moments of a list
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Space")
    expect(options).to_have_text(["optional", "required"])
    page.keyboard.press("Escape")
    _at_end_of(page, "kind: test.junit")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Space")
    expect(options.filter(has_text="runbook")).to_have_count(1)  # a key of a rule
    expect(options.filter(has_text="severity")).to_have_count(0)  # this one is there
    expect(options.filter(has_text="freeze_calendars")).to_have_count(0)  # one of the whole policy


def test_a_draft_is_checked_with_its_tests_and_published_by_keys(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING, TYPED_OVER)
    _policy(filled, "written")
    page = visit("/policies/written")
    beside = page.get_by_role("complementary")
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("digest: never\n")
    page.keyboard.press("Control+s")
    expect(beside).to_contain_text("digest must be one of optional, required (line 34)")
    expect(page.locator(".cm-lint-marker-error")).to_have_count(1)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text("tests:\n  - name: nothing is known\n    facts: []\n    expect: {decision: go}")
    page.keyboard.press("Control+s")
    tests = beside.locator("section", has=page.get_by_role("heading", name="Tests"))
    expect(tests).to_contain_text("failed")
    expect(tests).to_contain_text("expected go")
    _at_end_of(page, "expect: {decision: go}")
    for _ in "go}":
        page.keyboard.press("Backspace")
    page.keyboard.insert_text("no_go}")
    page.keyboard.press("Control+s")
    expect(tests).to_contain_text("passed")
    expect(beside).to_contain_text("Nothing forbids publishing it")
    page.get_by_role("button", name="Publish…").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".diff .added")).to_have_count(4)
    dialog.get_by_label("Reason").fill("a test")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Version 2 is published.")).to_be_visible()
    with filled.http() as http:
        assert "decision: no_go" in ok(http.get("/api/policies/written"))["parts"][0]["content"]


def test_unsaved_text_survives_a_reload(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    _policy(filled, "kept")
    page = visit("/policies/kept")
    _at_end_of(page, "title: The first gate")
    page.keyboard.insert_text(" of all")
    page.on("dialog", lambda asked: asked.accept())  # "leave this page?"
    page.reload()
    expect(page.get_by_text("This is your unsaved text of before.")).to_be_visible()
    expect(page.locator(".cm-content")).to_contain_text("The first gate of all")
    page.get_by_role("button", name="Take the saved text instead").click()
    expect(page.locator(".cm-content")).not_to_contain_text("of all")


def test_a_text_is_tried_on_what_was_decided(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    page = visit("/policies/first")
    _at_end_of(page, "derived.not_passed == 0")
    page.keyboard.insert_text(" && derived.passed > 100")
    page.get_by_role("link", name="Backtests").click()
    page.get_by_role("button", name="Begin").click()
    row = page.locator(".flips tbody tr", has_text="shop 1.0.0")
    expect(row).to_contain_text("NO-GO")
    expect(row).to_contain_text("tests_pass")
    expect(row.get_by_role("link")).to_have_attribute("href", f"/console/gates/first/runs/{filled.go_run}")


def test_a_text_waits_for_approval_and_an_earlier_one_comes_back(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING, r"409 PUT", r"409 POST")
    _policy(filled, "approved", POLICY + "publish_approvals: {count: 1, roles: [manager]}\n")
    page = visit("/policies/approved")
    _at_end_of(page, "title: The first gate")
    page.keyboard.insert_text(" of two")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("0 of 1 approved")).to_be_visible()
    page.get_by_role("button", name="Publish…").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("too early")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    other = visit("/policies/approved", role="manager")
    other.get_by_role("button", name="Approve").click()
    other.get_by_role("dialog").get_by_label("Reason").fill("read it")
    other.keyboard.press("Enter")
    expect(other.get_by_text("1 of 1 approved")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("Version 2 is published.")).to_be_visible()
    page.get_by_role("link", name="Versions").click()
    expect(page.get_by_role("row").filter(has_text="too early")).to_contain_text("owner")
    page.get_by_role("button", name="Changes 2").click()
    expect(page.get_by_role("dialog").locator(".diff .added")).to_have_text("+title: The first gate of two\n")


def test_without_the_editor_a_plain_field_does(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING, r"failed: GET .*/(vendor/editor|editor-\w+)\.js", r"Failed to load|ERR_FAILED")
    _policy(filled, "plain")
    page = visit("/policies")
    page.route(re.compile(r"/(vendor/editor|editor-\w+)\.js$"), lambda route: route.abort())
    page.get_by_role("link", name="plain", exact=True).click()
    field = page.get_by_role("textbox", name="Text of the policy plain, YAML")
    field.fill("name: nothing\n")
    field.press("Control+s")
    expect(page.get_by_role("complementary")).to_contain_text("problem")


def test_another_document_is_published_and_rolled_back(visit: Visitor, filled: Filled) -> None:
    visit.expect(TYPED_OVER)
    page = visit("/documents/groups")
    for name in ("one", "two"):
        page.locator(".cm-content").focus()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(f'{{"groups": [{{"name": "{name}", "members": ["mia"]}}]}}')
        page.get_by_role("button", name="Publish…").click()
        page.get_by_role("dialog").get_by_label("Reason").fill(f"group {name}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("row").filter(has_text=f"group {name}")).to_be_visible()
    page.get_by_role("button", name="Roll back 1").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("as before")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text="restores version 1")).to_be_visible()
    expect(page.locator(".cm-content")).to_contain_text('"one"')
