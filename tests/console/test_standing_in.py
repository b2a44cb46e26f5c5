"""Standing in for somebody, on the page about oneself: given, seen by both, refused where it must be, ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok


def _in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


def _row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def test_a_delegation_is_given_seen_by_both_and_ended(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"422 POST .*/api/delegations")
    page = visit("/me", role="manager")
    expect(page.get_by_text("Nobody stands in for you, nor you for anybody")).to_be_visible()
    page.get_by_role("button", name="Have somebody stand in for you").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Who stands in for you").fill("mia")
    dialog.get_by_label("Until").fill(_in_days(5))
    dialog.get_by_label("Reason").fill("on leave")
    dialog.get_by_role("button", name="Have them stand in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("You can't stand in for yourself")
    dialog.get_by_label("Who stands in for you").fill("olga")
    dialog.get_by_label("Until").fill(_in_days(92))
    dialog.get_by_role("button", name="Have them stand in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at most 90 days")
    dialog.get_by_label("Until").fill(_in_days(5))
    dialog.get_by_role("button", name="Have them stand in").click()
    mine = _row(page, "olga stands in for you")
    expect(mine).to_contain_text("on leave")
    expect(mine).to_contain_text("counts")

    other = visit("/me", role="operator")
    theirs = _row(other, "You stand in for mia")
    expect(theirs).to_contain_text("counts")
    expect(theirs.get_by_role("button", name="End: You stand in for mia")).to_be_visible()

    mine.get_by_role("button", name="End: olga stands in for you").click()
    dialog.get_by_label("Reason").fill("back")
    dialog.get_by_role("button", name="End", exact=True).click()
    expect(mine).to_have_count(0)
    expect(theirs).to_have_count(0)
    with filled.http("manager") as http:
        given = ok(http.get("/api/delegations", params={"from_user": "mia", "to_user": "olga"}))["items"]
    [kept] = [one for one in given if one["reason"] == "on leave"]
    assert (kept["ended_by"], kept["end_reason"]) == ("mia", "back")


def test_who_may_not_approve_reads_it_only(visit: Visitor) -> None:
    page = visit("/me", role="viewer")
    expect(page.get_by_role("heading", name="Standing in")).to_be_visible()
    expect(page.get_by_role("button", name="Have somebody stand in for you")).to_have_count(0)
