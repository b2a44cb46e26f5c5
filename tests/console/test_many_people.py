"""More people than one page of the API holds: the console says so, goes on, and finds who is not on the first."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.console.conftest import Visitor


def _two_a_page(page: Page, path: str) -> None:
    """The gateway's pages hold two rows, so that a few people are many."""

    def fewer(route: Route) -> None:
        route.continue_(url=route.request.url.replace("limit=200", "limit=2"))

    page.route(f"**{path}?*", fewer)
    page.reload()


def test_further_people_are_said_to_be_there_shown_and_found(visit: Visitor) -> None:
    page = visit("/admin/users")
    _two_a_page(page, "/api/users")
    people = page.locator("table.admin-rows tbody tr")
    expect(page.get_by_text("The first 2 people")).to_be_visible()
    expect(people).to_have_count(2)
    page.get_by_role("button", name="More").click()
    expect(page.get_by_text("The first 4 people")).to_be_visible()
    expect(people).to_have_count(4)
    search = page.get_by_label("Search")
    search.fill("VIKTOR")
    expect(page.get_by_text("1 person", exact=True)).to_be_visible()
    expect(people).to_contain_text(["viktor"])
    expect(search).to_be_focused()
    page.reload()
    expect(people).to_contain_text(["viktor"])
    search.fill("nobody of that name")
    expect(page.get_by_text("Nothing fits the filter")).to_be_visible()
