"""Jobs and their runs in the browser."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled


def test_runs_are_found_by_job_and_outcome_and_the_address_says_which(visit: Visitor, filled: Filled) -> None:
    page = visit("/jobs", role="viewer")
    page.get_by_role("combobox", name="Job").select_option("ops_governance_gate")
    runs = page.get_by_role("region", name="Runs")
    expect(runs.get_by_role("row").nth(1)).to_contain_text("ops_governance_gate")
    names = runs.locator("tbody th").all_text_contents()
    assert set(names) == {"ops_governance_gate"}
    page.get_by_role("combobox", name="How it ended").select_option("success")
    expect(page).to_have_url(re.compile("job=ops_governance_gate.*status=success"))
    outcomes = page.get_by_role("region", name="Runs").locator("tbody td:nth-child(2)").all_text_contents()
    assert all("succeeded" in one for one in outcomes)
    page.get_by_role("combobox", name="How it ended").select_option("critical")
    runs.get_by_role("button").first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("no_go")
    shared = page.url
    page.goto(shared)
    expect(page.get_by_role("dialog")).to_contain_text("no_go")


def test_schedules_of_all_services_are_told_and_who_is_silent(visit: Visitor) -> None:
    visit.expect("503 GET .*/api/jobs/notifier")
    page = visit("/jobs?view=schedule", role="viewer")
    table = page.get_by_role("region", name="Schedules")
    for service in ("gateway", "governance", "tracker", "audit", "metrics", "notifier", "operations"):
        expect(table.get_by_role("cell", name=service, exact=True).first).to_be_visible()

    def away(route: Route) -> None:
        route.fulfill(status=503, json={"title": "away", "detail": "The notifier does not answer."})

    page.route("**/api/jobs/notifier", away)
    page.reload()
    expect(page.get_by_text("No answer from: notifier.")).to_be_visible()
    expect(table.get_by_role("cell", name="tracker", exact=True).first).to_be_visible()
    expect(table.get_by_role("cell", name="notifier", exact=True)).to_have_count(0)
