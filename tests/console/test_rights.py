"""People who may something at some sites only: pages offer them what they may there, and nothing that ends in 403."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import FAILED, GATE, Filled, ok
from tests.console.routes import address, patterns

HERE, THERE = "plant-a", "plant-b"
# Whom it is about: mara manages one site; bea manages one and looks at another for a while.
OWN, BESIDE = "mara", "bea"
# What these say is true of everybody: there is no such trace, and the site has no calendars of its own.
NOTED = ("/audit/traces/:trace", "/documents/:document")
# Orders about the whole installation, which takes all sites, by the page that offers them to who has them.
WHOLE = {
    "/checks": ["Run the daily check now"],
    "/checks?view=integrity": ["Read a sample now"],
    "/backups": ["Ask for a rehearsal"],
    "/reports": ["Make and keep it"],
    "/audit/verification": ["Verify all of it", "Verify what is new"],
}

BACKUP = {
    "run_id": 1, "job_name": "backup", "status": "success", "started_at": "2026-11-30T09:00:00Z", "good": True,
    "finished_at": "2026-11-30T09:01:00Z", "backup_id": "b-1", "recovery_point": "2026-11-30T09:00:00Z", "problems": [],
    "backup_s": 1.0, "size_bytes": 1, "rows": 1, "messages": 1, "audit_seq": 4711, "audit_hash": "0" * 64,
    "encrypted": True, "place": "folder", "kept_count": 1, "removed": [], "free_bytes": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(filled: Filled) -> dict[str, int]:
    """A verdict at each of two sites, by site; and two people who are no managers of all of them."""
    found = {}
    with filled.http() as http:
        for site in (HERE, THERE):
            ok(http.post("/api/sites", json={"site": site, "title": site.title()}))
            where = {"site": site, "subject": "shop", "version": "1.0.0"}
            ok(http.post("/api/signals/junit", params=where, content=FAILED))
            wanted = {"subject": "shop", "version": "1.0.0"}
            run = ok(http.post(f"/api/gates/{GATE}/runs", params={"site": site}, json=wanted))
            found[site] = run["run_id"]
        for name in (OWN, BESIDE):
            ok(http.post("/api/users", json={"username": name, "role": "manager", "sites": [HERE]}))
            filled.tokens[name] = ok(http.post("/api/tokens", json={"username": name, "label": "console"}))["token"]
        lend(http, BESIDE, "viewer", THERE)
    return found


def lend(http: httpx2.Client, username: str, role: str, site: str) -> int:
    """A grant for an hour; its number."""
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    grant = {"username": username, "role": role, "sites": [site], "ends_at": ends_at, "reason": "a test"}
    return int(ok(http.post("/api/grants", json=grant))["grant_id"])


def at(page: Page, site: str) -> None:
    """Look at another site."""
    page.locator(".site-pick select").select_option(site)


def settle(page: Page) -> None:
    """Until the page has what it asked for."""
    page.locator("main h1").first.wait_for()
    page.locator("main .spinner").first.wait_for(state="detached")


def offered(page: Page, name: str) -> Callable[[], int]:
    """How many buttons of the page are named so."""
    return page.get_by_role("main").get_by_role("button", name=name).count


def verdict(runs: dict[str, int], site: str) -> str:
    return f"/gates/{GATE}/runs/{runs[site]}"


@pytest.mark.parametrize("who", [OWN, BESIDE])
def test_no_page_refuses_or_warns_who_manages_one_site(
    visit: Visitor, filled: Filled, runs: dict[str, int], who: str
) -> None:
    visit.expect(r"404 GET .*/(traces/|latest$|draft$)")  # what is not there yet
    wrong: dict[str, list[str]] = {}
    page = visit(role=who)
    for site in (HERE, THERE)[: 2 if who == BESIDE else 1]:
        if who == BESIDE:
            at(page, site)
        for pattern in patterns():
            path = verdict(runs, site) if pattern.endswith("/runs/:run") else address(pattern, filled)
            page.goto(f"/console{path}")
            settle(page)
            found = page.locator("main .refused, main p.stale").all_inner_texts()
            if found and pattern not in NOTED:
                wrong[f"{site} {pattern}"] = found
    assert wrong == {}


def test_who_manages_one_site_is_offered_no_order_about_all_of_them(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    visit.expect(r"404 GET .*/latest$")
    narrow, wide = visit(role=OWN), visit(role="manager")
    for path, names in WHOLE.items():
        for page in (narrow, wide):
            page.goto(f"/console{path}")
            settle(page)
        for name in names:
            expect(wide.get_by_role("main").get_by_role("button", name=name)).to_be_visible()
            assert offered(narrow, name)() == 0, (path, name)


def test_a_right_counts_where_it_is_held(visit: Visitor, filled: Filled, runs: dict[str, int]) -> None:
    page = visit(role=BESIDE)
    menu = page.get_by_role("navigation", name="Pages")
    expect(menu.get_by_role("link", name="Audit")).to_be_visible()  # held at one of the sites: it is offered
    at(page, HERE)
    page.goto(f"/console{verdict(runs, HERE)}")
    for name in ("Judge again", "Stop the line"):
        expect(page.get_by_role("main").get_by_role("button", name=name)).to_be_visible()
    page.goto("/console")
    at(page, THERE)
    page.goto(f"/console{verdict(runs, THERE)}")
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    assert [offered(page, name)() for name in ("Judge again", "Stop the line")] == [0, 0]
    menu.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name=HERE).click()
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()
    expect(page.locator("table.rows tbody tr").first).to_be_visible()


def test_a_halt_of_everywhere_is_shown_to_who_may_see_one_site(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    page = visit(verdict(runs, HERE), role=OWN)
    holds = page.locator("section", has=page.get_by_role("heading", name="Holds", exact=True))
    expect(holds.get_by_text("The line runs.")).to_be_visible()
    with filled.http() as http:
        halt = ok(http.post("/api/halts", json={"subjects": "nothing-of-ours", "reason": "of everywhere"}))
        try:
            page.reload()
            expect(holds.get_by_text("of everywhere")).to_be_visible()
            assert offered(page, "Lift the halt")() == 0, "only who holds the right at global lifts it"
        finally:
            ok(http.post(f"/api/halts/{halt['halt_id']}/lift", json={"reason": "a test"}))


def test_a_right_that_is_given_or_ended_changes_the_page_at_once(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": "vera", "role": "viewer", "sites": [HERE]}))
        filled.tokens["vera"] = ok(http.post("/api/tokens", json={"username": "vera", "label": "console"}))["token"]
        page = visit(verdict(runs, HERE), role="vera")
        expect(page.get_by_role("heading", name="Why")).to_be_visible()
        stop = page.get_by_role("main").get_by_role("button", name="Stop the line")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        assert stop.count() == 0
        grant = lend(http, "vera", "manager", HERE)
        expect(stop).to_be_visible()
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        ok(http.delete(f"/api/grants/{grant}"))
        expect(stop).to_have_count(0)


def test_pages_about_the_installation_are_up_to_date_at_any_site(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    far, bound = visit(), visit(role=OWN)
    at(far, HERE)
    bound.clock.install()  # which goes on, so far
    for page in (far, bound):
        page.goto("/console/admin/users")
        settle(page)
    expect(far.get_by_text("Live", exact=True)).to_be_visible()
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": "newcomer", "role": "viewer", "sites": [HERE]}))
    expect(far.get_by_role("link", name="newcomer")).to_be_visible()
    # Who is bound to a site is told nothing of the installation, and asks each minute instead.
    assert bound.get_by_role("link", name="newcomer").count() == 0
    bound.clock.fast_forward(61_000)
    expect(bound.get_by_role("link", name="newcomer")).to_be_visible()


def test_a_report_that_was_made_is_listed_whoever_hears_of_it(visit: Visitor, filled: Filled) -> None:
    page = visit(role="manager")
    page.route("**/api/events?*", lambda route: route.abort("aborted"))  # no line: nothing is told, or asked anew
    with page.expect_response("**/quality/archive?*"):
        page.goto("/console/reports")
    settle(page)
    kept = page.locator("section", has=page.get_by_role("heading", name="Reports that were kept")).locator("tbody tr")
    before = kept.count()
    page.get_by_role("button", name="Make and keep it").click()
    expect(kept).to_have_count(before + 1)


def test_an_address_names_its_site_and_wins_where_that_may_be_seen(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    page = visit("/board?gate=first", role=BESIDE)
    expect(page).to_have_url(re.compile(rf"gate=first&site={HERE}$"))
    at(page, THERE)
    expect(page).to_have_url(re.compile(rf"gate=first&site={THERE}$"))
    link = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Jobs")
    link.focus()
    expect(link).to_have_attribute("href", f"/console/jobs?site={THERE}")  # also where it is copied
    link.click()
    expect(page).to_have_url(re.compile(rf"/jobs\?site={THERE}$"))
    pick = page.locator(".site-pick select")
    at(page, HERE)
    expect(page).to_have_url(re.compile(rf"/jobs\?site={HERE}$"))
    page.go_back()
    expect(pick).to_have_value(THERE)
    page.go_back()
    page.go_back()
    expect(pick).to_have_value(HERE)
    expect(page).to_have_url(re.compile(rf"gate=first&site={HERE}$"))
    # An address wins over what was chosen here, and changes nothing in other tabs.
    other = page.context.new_page()
    other.goto(f"/console{verdict(runs, THERE)}?site={THERE}")
    expect(other.get_by_role("heading", level=1)).to_contain_text("shop 1.0.0")
    expect(other.locator(".site-pick select")).to_have_value(THERE)
    page.goto("/console/jobs")
    expect(page).to_have_url(re.compile(rf"/jobs\?site={HERE}$"))


def test_an_address_of_a_site_that_is_not_ones_own_shows_nothing_of_another(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    page = visit(role=OWN)
    asked: list[str] = []
    page.goto(f"/console/?site={THERE}")
    page.on("request", lambda one: asked.append(one.url))
    page.goto(f"/console{verdict(runs, HERE)}?site={THERE}")
    expect(page.get_by_text(f"{THERE} is not one of your sites")).to_be_visible()
    assert [one for one in asked if "/runs/" in one and "/api/" in one] == []
    page.get_by_role("main").get_by_role("button", name=HERE).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("shop 1.0.0")


def test_the_audit_list_hears_of_the_gateway_and_of_all_sites(
    visit: Visitor, filled: Filled, runs: dict[str, int]
) -> None:
    page = visit("/audit", role="auditor")
    expect(page.locator("table.rows tbody tr").first).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    newer = page.locator("p.newer button")
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": "heard", "role": "viewer", "sites": [HERE]}))
        expect(newer).to_contain_text("since: show what is new")
        newer.click()
        expect(newer).to_have_count(0)
        here = visit("/audit?here=1", role="auditor")  # of global alone
        for one in (page, here):
            expect(one.get_by_text("Live", exact=True)).to_be_visible()
        where = {"subject": "heard", "version": "1"}
        ok(http.post("/api/signals/junit", params={**where, "site": HERE}, content=FAILED))
        expect(newer).to_be_visible()
        assert here.locator("p.newer button").count() == 0
        ok(http.post("/api/signals/junit", params=where, content=FAILED))
        expect(here.locator("p.newer button")).to_be_visible()


def test_who_may_not_read_the_audit_log_is_not_led_there(visit: Visitor, filled: Filled) -> None:
    for role, count in (("operator", 0), ("manager", 1)):
        page = visit(role=role)
        page.route("**/api/ops/backups?*", lambda route: route.fulfill(json=[BACKUP]))
        page.goto("/console/backups")
        expect(page.get_by_text("4,711").first).to_be_visible()
        assert page.get_by_role("main").get_by_role("link", name="4,711").count() == count
