"""The administration and oneself: deeds ask first, a secret is shown once, rights hide what they must."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok
from tests.local_traffic import await_that

PAGES = (
    *("", "/users", "/tokens", "/accounts", "/roles", "/grants"),
    *("/sites", "/webhooks", "/settings", "/risk", "/dead-letters", "/status"),
)


def test_a_person_is_created_and_erased_only_by_name(visit: Visitor, filled: Filled) -> None:
    page = visit("/admin/users")
    page.get_by_role("button", name="Create a user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("User").fill("ida")
    dialog.get_by_label("Role").select_option("viewer")
    dialog.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="ida", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("ida")
    expect(page.get_by_role("button", name="Erase", exact=True)).to_have_count(0)  # the API erases nobody who is active
    page.get_by_role("button", name="Deactivate", exact=True).click()
    dialog.get_by_role("button", name="Deactivate").click()
    page.get_by_role("button", name="Erase", exact=True).click()
    dialog.get_by_label("Reason").fill("left")
    dialog.get_by_label("Type ida to confirm").fill("ada")
    dialog.get_by_role("button", name="Erase for good").click()
    expect(dialog.get_by_role("alert")).to_contain_text("That is not the name.")
    with filled.http() as http:
        assert ok(http.get("/api/users/ida/erasure"))["state"] == "none"
        dialog.get_by_label("Type ida to confirm").fill("ida")
        dialog.get_by_role("button", name="Erase for good").click()
        expect(dialog).to_be_hidden()
        await_that("the erasure", lambda: ok(http.get("/api/users/ida/erasure"))["state"] != "none")


def test_a_token_is_shown_once_and_kept_nowhere(visit: Visitor, filled: Filled) -> None:
    page = visit("/admin/tokens", role="operator")
    page.get_by_role("button", name="Issue a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Label").fill("of the console")
    dialog.get_by_role("button", name="Issue").click()
    secret = dialog.locator("pre.secret").inner_text().strip()
    assert secret.startswith("hg_")
    dialog.get_by_role("button", name="I have it").click()
    row = page.get_by_role("row").filter(has_text="of the console")
    expect(row).to_be_visible()
    kept = page.evaluate(
        "[document.body.innerText, location.href, JSON.stringify([{...localStorage}, {...sessionStorage}])].join()"
    )
    assert secret not in kept
    row.get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)


def test_an_order_that_its_service_did_not_take_at_once_is_waited_for(visit: Visitor, filled: Filled) -> None:
    """Its secret stands in the first answer alone."""
    page = visit("/admin/tokens")
    page.set_extra_http_headers({"Prefer": "respond-async"})
    page.get_by_role("button", name="Issue a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Label").fill("taken later")
    dialog.get_by_role("button", name="Issue").click()
    secret = dialog.locator("pre.secret").inner_text().strip()
    with filled.http() as http:
        found = http.get("/api/me", headers={"Authorization": f"Bearer {secret}"})
        assert found.status_code == 200, found.text


def test_who_may_not_administer_is_offered_nothing(visit: Visitor) -> None:
    page = visit("/admin", role="viewer")
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    expect(page.get_by_role("link", name="Status").first).to_be_visible()
    page.goto("/console/admin/users")
    expect(page.get_by_role("heading", level=1)).to_have_text("You may not see this")


def test_a_second_factor_is_begun_and_the_rest_of_oneself_is_there(visit: Visitor) -> None:
    page = visit("/me", role="auditor")
    expect(page.get_by_role("heading", name="What you may")).to_be_visible()
    expect(page.get_by_text("this one")).to_be_visible()
    page.get_by_role("button", name="Set up a second factor").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.locator("pre.secret")).to_contain_text("otpauth://totp/")
    visit.expect(r"40\d POST .*/second-factor/confirm")
    dialog.get_by_label("Code that the app shows").fill("000000")
    dialog.get_by_role("button", name="Confirm").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()  # a secret is shown in it, once
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    link = page.get_by_role("link", name="Download")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "headgate-audrey.json"


def test_a_setting_is_published_with_a_reason_and_taken_back(visit: Visitor) -> None:
    page = visit("/admin/settings")
    expect(page.get_by_text("idle_minutes")).to_be_visible()
    dialog = page.get_by_role("dialog")
    for minutes in (31, 32):
        page.get_by_role("button", name="Change", exact=True).click()
        content = dialog.get_by_label("Content (JSON)")
        content.fill(re.sub(r'"idle_minutes": \d+', f'"idle_minutes": {minutes}', content.input_value()))
        dialog.get_by_label("Reason").fill("a longer pause")
        dialog.get_by_role("button", name="Publish").click()
        expect(page.locator(".panel pre")).to_contain_text(f'"idle_minutes": {minutes}')
    page.get_by_role("button", name="What version 2 changed").click()
    expect(dialog).to_contain_text("/idle_minutes")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Go back to version 1").click()
    dialog.get_by_label("Reason").fill("too long")
    dialog.get_by_role("button", name="Go back").click()
    expect(page.locator(".panel pre")).to_contain_text('"idle_minutes": 31')


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_a_narrow_window(visit: Visitor, path: str) -> None:
    page = visit(f"/admin{path}", width=360, language="ko", theme="dark")
    expect(page.locator("main .state.loading")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
