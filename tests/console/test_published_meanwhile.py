"""Somebody publishes while another one is about to: what the other has not seen is not replaced, on whatever page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import POLICY, Filled, ok
from tests.console.test_autopilot import TRACKER
from tests.console.test_freezes import ical_event, ical_file

SETTING = "/api/admin/session-policy"  # of the whole installation; the others are of a site
MISSING = r"404 GET .*/draft"
# Chromium copies the look of a selection onto what is typed over it; the policy refuses that, the editor draws it anew.
TYPED_OVER = r"Applying inline style violates"


@dataclass(frozen=True, slots=True)
class Case:
    """Something that is published. ``body``: a content that a number tells apart; ``begin``: opens the dialog, where
    needed from the row of the first version; ``send``: its button; ``known`` and ``heard``: what the page says of
    the second version and of the third.
    """

    page: str
    at: str
    versions: str
    body: Callable[[int], dict[str, Any]]
    begin: Callable[[Page, Locator], None]
    send: str
    known: str = "text 2"
    heard: str = "text 3"


def _types(page: Page, key: str, text: str) -> None:
    page.locator(".cm-content").focus()
    page.keyboard.press(key)
    page.keyboard.insert_text(text)
    page.get_by_role("button", name="Publish…").click()


def _looks_at_a_file(page: Page, _row: Locator) -> None:
    page.get_by_role("button", name="Import an iCalendar file").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("File (.ics)").set_input_files(ical_file(ical_event("day off", 3)))
    dialog.get_by_label("Name of the calendar").fill("mine")
    dialog.get_by_label("Time zone").fill("Asia/Seoul")
    dialog.get_by_label("Reason").fill("mine")
    dialog.get_by_role("button", name="Look at it").click()
    expect(dialog.get_by_role("status")).to_contain_text("day off")


def _changes_autopilot(page: Page, _row: Locator) -> None:
    page.get_by_role("button", name="Change settings").click()
    page.get_by_role("dialog").get_by_label("Minutes between runs that act").fill("77")


def _goes_back(page: Page, row: Locator) -> None:
    if "/autopilot" in page.url:
        page.get_by_text("Earlier versions").click()
    row.get_by_role("button", name="Back to version").or_(row.get_by_role("button", name="Roll back")).click()


def _cases() -> dict[str, Case]:
    def groups(count: int) -> dict[str, Any]:
        return {"content": {"groups": [{"name": f"g{count}", "members": ["mia"]}]}}

    def freezes(count: int) -> dict[str, Any]:
        return {"content": {"calendars": [{"name": f"c{count}"}]}}

    def policy(count: int) -> dict[str, Any]:
        return {"content": f"{POLICY}# {count}\n"}

    def setting(count: int) -> dict[str, Any]:
        return {"content": {"idle_minutes": 30 + count}}

    def autopilot(count: int) -> dict[str, Any]:
        return {"cooldown_minutes": 30 + count}

    file = ("/documents/freezes", "/api/freezes", "/versions", freezes)
    own = ("/policies/first", "/api/policies/first", "/versions", policy)
    document = ("/documents/groups", "/api/groups", "/versions", groups)
    settings = ("/admin/settings?of=session-policy", SETTING, "/versions", setting)
    when = ("/autopilot", f"{TRACKER}/autopilot/policy", "/document/versions", autopilot)
    return {
        "setting": Case(*settings, lambda page, _: page.get_by_role("button", name="Change").first.click(), "Publish"),
        "setting-back": Case(*settings, lambda _, row: row.get_by_role("button", name="Go back").click(), "Go back"),
        "policy": Case(
            *own,
            lambda page, _: _types(page, "Control+End", "# mine\n"),
            "Publish",
            "# 2",
            "Version 3 was published since",
        ),
        "policy-back": Case("/policies/first?tab=versions", *own[1:], _goes_back, "Roll back"),
        "document": Case(*document, lambda page, _: _types(page, "Control+a", '{"groups": []}'), "Publish"),
        "document-back": Case(*document, _goes_back, "Roll back"),
        "freezes-of-a-file": Case(*file, _looks_at_a_file, "Publish"),
        "autopilot": Case(*when, _changes_autopilot, "Save"),
        "autopilot-back": Case(*when, _goes_back, "Back to version 1"),
    }


CASES = _cases()


@pytest.mark.parametrize("name", CASES)
def test_what_was_published_meanwhile_is_not_replaced(visit: Visitor, filled: Filled, name: str) -> None:
    case, sited = CASES[name], {} if CASES[name].at == SETTING else {"site": name}
    visit.expect(MISSING, TYPED_OVER, rf"409 (PUT|POST) \S*{case.at}")

    with filled.http() as http:

        def publish(count: int) -> None:
            ok(http.put(case.at, params=sited, json={**case.body(count), "reason": f"{name}: text {count}"}))

        if sited:
            ok(http.post("/api/sites", json={"site": name, "title": name}))
        publish(1)
        publish(2)
        page = visit("/me")
        page.evaluate("(site) => sessionStorage.setItem('headgate.site', site)", sited.get("site", "global"))
        page.goto(f"/console{case.page}")
        expect(page.locator("body")).to_contain_text(case.known)
        case.begin(page, page.locator("tr, li", has_text=f"{name}: text 1"))
        dialog = page.get_by_role("dialog")
        if case.begin is not _looks_at_a_file:  # which has asked for it before
            dialog.get_by_label("Reason").fill("mine")
        publish(3)
        # The page is brought up to date behind the dialog, which was opened for what was there before.
        expect(page.locator("body")).to_contain_text(case.heard)
        with page.expect_response(lambda answer: answer.request.method != "GET" and case.at in answer.url) as sent:
            dialog.get_by_role("button", name=case.send, exact=True).click()
        assert sent.value.status == 409, sent.value.text()
        expect(dialog.get_by_role("alert")).to_contain_text("The site's own version")
        newest = ok(http.get(case.at + case.versions, params=sited))["items"][0]
        assert newest["reason"] == f"{name}: text 3"
        if not sited:
            ok(http.put(case.at, json={"content": {}, "reason": "as before"}))
