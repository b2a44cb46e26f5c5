"""Coming in, with what is wrong, and after a session is over in the middle of work."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled

UNKNOWN = (r"401 GET .*/api/me", r"40\d GET .*/api/sign-in$")


def test_a_token_is_exchanged_for_a_session_and_kept_nowhere(visit: Visitor, filled: Filled) -> None:
    visit.expect(*UNKNOWN)
    page = visit("/board", role=None)
    page.get_by_label("Token", exact=True).check()
    page.locator("input[name=token]").fill(filled.tokens["viewer"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Remediation board")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert filled.tokens["viewer"] not in kept
    page.reload()
    expect(page.get_by_text("viktor")).to_be_visible()


@pytest.mark.parametrize("how", ["password", "token"])
def test_what_is_wrong_is_said_beside_the_button(visit: Visitor, how: str) -> None:
    visit.expect(*UNKNOWN, r"40[13] POST")
    page = visit(role=None)
    if how == "token":
        page.get_by_label("Token", exact=True).check()
        page.locator("input[name=token]").fill("hg_t_" + "x" * 49)
    else:
        page.get_by_label("Name").fill("nobody")
        page.locator("input[name=password]").fill("wrong but long enough")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to Headgate")


def test_a_session_that_ends_asks_to_sign_in_again_and_the_page_stays(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"401 ")
    page = visit("/board?q=tests_pass&gate=first", role="operator")
    expect(page.get_by_text("tests_pass").first).to_be_visible()
    with filled.http() as http:
        assert http.post("/api/users/olga/sessions/revoke", json={}).status_code == 200
    page.get_by_label("Order").select_option("due")
    page.get_by_label("Resolved too").check()  # asks the API, which says that nobody is signed in
    expect(page.get_by_role("dialog")).to_contain_text("Your session is over")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token", exact=True).check()
    dialog.locator("input[name=token]").fill(filled.tokens["operator"])
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_be_hidden()
    assert "q=tests_pass" in page.url
    expect(page.get_by_text("tests_pass").first).to_be_visible()


def test_leaving_ends_the_session(visit: Visitor) -> None:
    visit.expect(*UNKNOWN, r"401 ")
    page = visit(role="viewer")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to Headgate")
