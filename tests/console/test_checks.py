"""Checks of the installation in the browser."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok


def test_the_daily_check_is_made_shown_and_its_file_downloaded(visit: Visitor, filled: Filled) -> None:
    visit.expect("404 GET .*/latest")
    page = visit("/checks")
    page.get_by_role("button", name="Run the daily check now").click()
    expect(page.get_by_role("heading", name="The newest daily check")).to_be_visible()
    with filled.http() as http:
        checks = ok(http.get("/api/ops/runbook/checks/latest"))["checks"]
    bad = [one for one in checks if one["status"] != "ok"]
    expect(page.locator("li.check")).to_have_count(len(bad))
    for one in bad[:3]:
        expect(page.locator("li.check").filter(has_text=one["id"]).first).to_contain_text(one["action"])
    files = page.get_by_role("region", name="Files of earlier checks")
    with page.expect_download() as download:
        files.get_by_role("link", name="JSON").first.click()
    assert download.value.path().read_bytes().startswith(b"{")


def test_every_service_says_what_it_found_and_that_it_is_up(visit: Visitor) -> None:
    page = visit("/checks?view=preflight")
    page.get_by_role("button", name="Have every service look again").click()
    expect(page.get_by_role("region", name="Services").locator("tbody tr")).to_have_count(7)
    page.get_by_role("link", name="Readiness").click()
    expect(page.get_by_text("Headgate is ready, and everything is up.")).to_be_visible()
    page.get_by_role("link", name="Runbook now").click()
    expect(page.get_by_text("Made at this moment")).to_be_visible()
    expect(page.get_by_role("heading", name="Runbook now")).to_be_visible()


def test_evidence_is_read_anew(visit: Visitor) -> None:
    visit.expect("404 GET .*/latest")
    page = visit("/checks?view=integrity")
    page.get_by_role("button", name="Read a sample now").click()
    row = page.get_by_role("region", name="The newest sample").get_by_role("row").filter(has_text="capsules")
    expect(row).to_be_visible()
    assert int(row.get_by_role("cell").first.inner_text()) > 0


def test_who_may_not_run_checks_sees_them_only(visit: Visitor) -> None:
    visit.expect("404 GET .*/latest")
    page = visit("/checks", role="auditor")
    expect(page.get_by_role("heading", name="Files of earlier checks")).to_be_visible()
    expect(page.get_by_role("button", name="Run the daily check now")).to_have_count(0)
