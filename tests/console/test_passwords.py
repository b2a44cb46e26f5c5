"""Passwords in the browser: a code that is redeemed, coming in without and with a second factor, another password."""

from __future__ import annotations

import base64
from time import time
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from services.gateway.domain.second_factors import STEP_S, code_at
from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok

NOBODY = (r"401 GET ", r"40\d GET .*/api/sign-in$")
FIRST, SECOND, THIRD = "four words make one", "and four other words", "once more it is changed"


def _code(filled: Filled, name: str) -> str:
    with filled.http() as http:
        code: str = ok(http.post(f"/api/users/{name}/password-code", json={}))["code"]
    return code


def _somebody(filled: Filled, name: str) -> None:
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": name, "role": "operator", "sites": ["*"]}))


def _redeems(page: Page, name: str, code: str, password: str) -> None:
    page.get_by_label("I have a code").check()
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=code]").fill(code)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Choose it and sign in").click()


def _signs_in(page: Page, name: str, password: str, code: str = "") -> None:
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=code]").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _leaves(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to Headgate")


def test_a_code_that_an_owner_made_is_redeemed_once(visit: Visitor, filled: Filled) -> None:
    visit.expect(*NOBODY, r"401 POST .*/api/passwords")
    _somebody(filled, "nell")
    owner = visit("/admin/users/nell")
    owner.get_by_role("button", name="Password code").click()
    dialog = owner.get_by_role("dialog")
    dialog.get_by_role("button", name="Make a code").click()
    code = dialog.locator("pre.secret").inner_text().strip()

    page = visit("/board", role=None)
    _redeems(page, "nell", "x" * 43, FIRST)
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("input[name=code]").fill(code)
    page.get_by_role("button", name="Choose it and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Remediation board")
    assert FIRST not in page.content() + page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    _leaves(page)
    _redeems(page, "nell", code, SECOND)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password", exact=True).check()
    _signs_in(page, "nell", FIRST)
    expect(page.get_by_role("link", name="nell")).to_be_visible()


def test_a_second_factor_is_asked_for_beside_the_password(visit: Visitor, filled: Filled) -> None:
    visit.expect(*NOBODY, r"401 POST .*/api/sign-in")
    _somebody(filled, "noel")
    page = visit("/me", role=None)
    _redeems(page, "noel", _code(filled, "noel"), FIRST)
    page.get_by_role("button", name="Set up a second factor").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Go on").click()
    uri = dialog.locator("pre.secret").inner_text().strip()
    secret = base64.b32decode(parse_qs(urlsplit(uri).query)["secret"][0])
    step = int(time() // STEP_S)  # each counts once, and those beside the present one count, too
    dialog.get_by_label("Code that the app shows").fill(code_at(secret, step - 1))
    dialog.get_by_role("button", name="Confirm").click()
    expect(dialog).to_contain_text("Recovery codes")
    dialog.get_by_role("button", name="I have it").click()
    _leaves(page)

    _signs_in(page, "noel", FIRST)
    expect(page.get_by_role("alert")).to_be_visible()
    _signs_in(page, "noel", FIRST, code_at(secret, step))
    expect(page.get_by_role("link", name="noel")).to_be_visible()
    _leaves(page)

    _redeems(page, "noel", _code(filled, "noel"), SECOND)
    expect(page.get_by_role("status")).to_contain_text("Your password is chosen.")
    _signs_in(page, "noel", SECOND, code_at(secret, step + 1))
    expect(page.get_by_role("link", name="noel")).to_be_visible()


def test_ones_password_is_changed(visit: Visitor, filled: Filled) -> None:
    visit.expect(*NOBODY, r"40\d POST .*/api/(me/password|sign-in)")
    _somebody(filled, "nils")
    page = visit("/me", role=None)
    _redeems(page, "nils", _code(filled, "nils"), FIRST)
    page.get_by_label("The present one").fill(SECOND)
    page.get_by_label("The new one").fill(THIRD)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("The present one").fill(FIRST)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("The password is changed.")).to_be_visible()
    expect(page.get_by_label("The new one")).to_have_value("")
    _leaves(page)
    _signs_in(page, "nils", FIRST)
    expect(page.get_by_role("alert")).to_be_visible()
    _signs_in(page, "nils", THIRD)
    expect(page.get_by_role("link", name="nils")).to_be_visible()
