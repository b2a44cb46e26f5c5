"""Pages that were begun before an upgrade, or in the middle of one: they begin again, once there is something newer."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from services.gateway.console import serving
from tests.console.conftest import Visitor

WITHIN_MS = 30_000  # it waits between its tries


def _missing(route: Route) -> None:
    route.fulfill(status=404, content_type="application/problem+json", body="{}")


def _newer(route: Route) -> None:
    """The page as another version of the gateway would send it."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace(serving.digest(), "0" * 16))


def test_a_page_that_cannot_begin_begins_again(visit: Visitor) -> None:
    visit.expect(r"404 GET .*/main\.js")
    page = visit("/me")
    page.route("**/main.js", _missing, times=2)
    page.goto("/console/me")
    expect(page.locator("h1")).to_be_visible(timeout=WITHIN_MS)
    assert page.evaluate("sessionStorage.getItem('headgate.again')") is None, "it counts from the beginning again"


def test_a_page_whose_words_are_missing_begins_again(visit: Visitor) -> None:
    visit.expect(r"404 GET .*/en")
    page = visit("/me")
    page.route(re.compile(r"/en(-[^/]*|/index)\.js$"), _missing, times=1)
    page.goto("/console/me")
    expect(page.locator("h1")).to_be_visible(timeout=WITHIN_MS)
    assert page.evaluate("sessionStorage.getItem('headgate.again')") is None


def test_a_page_that_cannot_begin_for_long_says_so_and_goes_on_trying(visit: Visitor) -> None:
    visit.expect(r"404 GET .*/(main|again)\.js")
    page = visit("/me")
    page.evaluate("sessionStorage.setItem('headgate.again', '2')")
    page.route("**/main.js", _missing, times=1)
    page.goto("/console/me")
    expect(page.get_by_text("The console can't be loaded just now; trying again.")).to_be_visible()
    expect(page.locator("h1")).to_be_visible(timeout=WITHIN_MS)


def test_a_page_of_before_an_upgrade_is_loaded_anew_where_its_files_are_gone(visit: Visitor) -> None:
    visit.expect(r"404 GET .*/board")
    page = visit("/me")
    page.evaluate("window.before = true")
    page.route(re.compile(r"/board[^/]*\.js$"), _missing, times=1)
    page.route("**/console", _newer)
    page.get_by_role("navigation").get_by_role("link", name="Board").click()
    expect(page.locator("table.board, .empty").first).to_be_visible(timeout=WITHIN_MS)
    assert page.evaluate("window.before") is None


def test_a_file_that_is_missing_without_an_upgrade_is_said(visit: Visitor) -> None:
    visit.expect(r"404 GET .*/board")
    page = visit("/me")
    page.evaluate("window.before = true")
    page.route(re.compile(r"/board[^/]*\.js$"), _missing, times=1)
    page.get_by_role("navigation").get_by_role("link", name="Board").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate("window.before") is True
