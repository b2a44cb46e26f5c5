"""A verdict as people read it and act on it: why, what it rests on, and what somebody does so that it becomes GO."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import FAILED, GATE, PASSED, POLICY, Filled, judge, ok, report

NASTY = '"><img src=x onerror="document.title=1"><b>flaky</b>'
ASKING = "second"  # a gate that two persons must approve


def address(run: int, gate: str = GATE) -> str:
    """Where the page of a run is, below the console."""
    return f"/gates/{gate}/runs/{run}"


def panel(page: Page, title: str) -> Any:
    """A section of the page by its heading."""
    return page.locator("section.panel").filter(has=page.get_by_role("heading", name=title, exact=True))


def failed(filled: Filled, subject: str) -> int:
    """A NO-GO of a subject that only one test looks at."""
    with filled.http() as http:
        report(http, "junit", "1.0", FAILED, subject=subject)
        made = judge(http, "1.0", subject=subject)
    assert made["verdict"] == "NO_GO", made
    return int(made["run_id"])


def test_it_says_why_and_what_it_rests_on(visit: Visitor, filled: Filled) -> None:
    page = visit(address(filled.no_go_run), role="viewer")
    head = page.locator(".verdict-head")
    expect(head).to_contain_text("NO-GO")
    expect(head.get_by_role("listitem").first).to_contain_text("1 of 2 tests failed")
    expect(panel(page, "Shortest path to GO")).to_contain_text("Mend the failing tests and send the report again.")
    since = panel(page, "Since the last GO")
    expect(since.get_by_role("link").first).to_contain_text(f"1.0.0 · run {filled.go_run}")
    expect(since.locator("tbody tr").filter(has_text="tests_pass")).to_contain_text("1 of 2 tests failed")

    opener = page.get_by_role("button", name="tests_pass", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    details = page.locator(".rule-details")
    expect(details).to_contain_text("test.junit")
    expect(details).to_contain_text("0 h old when judged")
    with page.expect_download() as download:
        details.get_by_role("button", name="Original report").click()
    assert download.value.path().read_bytes() == FAILED
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the capsule").click()
    assert b"payload" in download.value.path().read_bytes()

    page.get_by_role("group", name="Rules").get_by_role("button", name="failed").click()
    expect(page.locator(".rules tbody")).to_have_count(1)
    assert "rules=fail" in page.url, "a filter is no part of the address"
    for name in ("Judge again", "Ask for a waiver", "Stop the line", "Override in an emergency"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)  # a viewer may do none of it
    since.get_by_role("link").first.click()
    expect(page.locator(".verdict-head")).to_contain_text("GO")
    expect(page.get_by_text("There is a newer verdict:")).to_be_visible()


def test_two_persons_waive_a_rule_and_it_is_go(visit: Visitor, filled: Filled) -> None:
    run = failed(filled, "waived")
    asking, approving = visit(address(run), role="operator"), visit(address(run), role="manager")
    asking.get_by_role("button", name="tests_pass", exact=True).click()
    asking.get_by_role("button", name="Ask for a waiver: tests_pass").click()
    dialog = asking.get_by_role("dialog")
    expect(dialog.get_by_label("Rule")).to_have_value("tests_pass")
    dialog.get_by_label("Reason").fill(NASTY)
    dialog.get_by_label("Issue").fill("OPS-12")
    dialog.get_by_role("button", name="Ask for a waiver").click()
    expect(dialog).to_have_count(0)
    # It appears by itself, as text.
    waivers = panel(approving, "Waivers")
    expect(waivers.locator("q")).to_have_text(NASTY)
    assert approving.locator("main img, main b").count() == 0
    expect(panel(asking, "Waivers").get_by_role("button", name="Approve")).to_have_count(0)

    waivers.get_by_role("button", name="Approve").click()
    dialog = approving.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog).to_be_visible()  # not without a reason
    dialog.get_by_label("Reason").fill("known, and mended on Monday")
    dialog.get_by_role("button", name="Approve").click()
    expect(waivers.get_by_text("in force")).to_be_visible()
    asking.get_by_role("button", name="Judge again").click()
    asking.get_by_role("dialog").get_by_role("button", name="Judge again").click()
    expect(asking.locator(".verdict-head")).to_contain_text("GO with warnings")
    assert address(run) not in asking.url
    expect(asking.get_by_role("row", name="tests_pass waived")).to_be_visible()
    expect(approving.get_by_text("There is a newer verdict:")).to_be_visible()


@pytest.fixture(scope="module")
def asked(filled: Filled) -> int:
    """A run that only lacks approvals."""
    content = POLICY.replace(f"name: {GATE}", f"name: {ASKING}\napprovals: {{count: 1, roles: [manager]}}")
    with filled.http() as http:
        ok(http.put(f"/api/policies/{ASKING}", json={"content": content, "reason": "two see more than one"}))
        report(http, "junit", "1.0", PASSED, subject="asking")
        made = ok(http.post(f"/api/gates/{ASKING}/runs", json={"subject": "asking", "version": "1.0"}))
    assert made["verdict"] == "NO_GO", made
    return int(made["run_id"])


def test_a_manager_approves_what_is_seen(visit: Visitor, filled: Filled, asked: int) -> None:
    page = visit(address(asked, ASKING), role="manager")
    approvals = panel(page, "Approvals")
    expect(approvals).to_contain_text("0 of 1 have approved")
    with filled.http() as http:
        evidence = ok(http.get(f"/api/gates/{ASKING}/runs/{asked}"))["evidence_sha256"]
    expect(approvals).to_contain_text(evidence)
    approvals.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("tried it")
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    # The last approval that was wanted runs the gate, and the page goes on to that verdict.
    expect(page.locator(".verdict-head")).to_contain_text("GO with warnings")
    expect(panel(page, "Approvals")).to_contain_text("tried it")
    assert address(asked, ASKING) not in page.url


def test_the_line_is_stopped_and_runs_again(visit: Visitor, filled: Filled) -> None:
    page = visit(address(failed(filled, "stopped")), role="manager")
    holds = panel(page, "Holds")
    holds.get_by_role("button", name="Stop the line").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Subjects")).to_have_value("stopped")
    dialog.get_by_label("Reason").fill("the disk burns")
    dialog.get_by_role("button", name="Stop the line").click()
    expect(holds.get_by_text("the disk burns")).to_be_visible()
    holds.get_by_role("button", name="Lift the halt").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("it is out")
    page.get_by_role("dialog").get_by_role("button", name="Lift the halt").click()
    expect(holds.get_by_text("The line runs.")).to_be_visible()


def test_an_emergency_takes_a_sentence(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"422 POST .*/override")
    page = visit(address(failed(filled, "emergency")))
    page.get_by_role("button", name="Override in an emergency").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why it can't wait").fill("please")
    dialog.get_by_role("button", name="Override in an emergency").click()
    expect(dialog.get_by_role("alert")).to_contain_text("50")
    dialog.get_by_label("Why it can't wait").fill(
        "Customers can't pay since noon; the failing test is about an old report, so only that may be wrong."
    )
    dialog.get_by_label("Issue").fill("OPS-13")
    dialog.get_by_role("button", name="Override in an emergency").click()
    expect(page.locator(".verdict-head")).to_contain_text("GO by an emergency override of owner")
    expect(panel(page, "Holds")).to_contain_text("not confirmed yet")


def test_a_link_for_an_outsider_is_shown_once_and_its_uses_are_told(visit: Visitor, filled: Filled) -> None:
    page = visit(address(filled.go_run))
    page.get_by_role("button", name="Make a link for an outsider").click()
    page.get_by_role("dialog").get_by_label("For whom").fill("auditors of acme")
    page.get_by_role("dialog").get_by_role("button", name="Make a link for an outsider").click()
    link = page.get_by_role("dialog").locator("code")
    expect(link).to_contain_text("/s#")
    where = link.inner_text()
    page.get_by_role("dialog").locator(".form-buttons").get_by_role("button", name="Close").click()
    shares = panel(page, "To take along")
    expect(shares).to_contain_text("auditors of acme")
    assert where.partition("#")[2] not in page.content()
    visit.expect(r"401 GET .*/api/me")  # nobody is signed in there
    outside = visit("/", role=None)
    outside.goto(where)
    outside.get_by_role("button", name="Show").click()
    expect(outside.get_by_text("1.0.0").first).to_be_visible()
    page.reload()
    shares.get_by_role("button", name="opened 1 of 20 times").click()
    expect(shares.get_by_text("Chrome")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_in_korean(visit: Visitor, filled: Filled, theme: Any) -> None:
    page = visit(address(filled.no_go_run), language="ko", theme=theme, width=360)
    expect(page.get_by_role("heading", name="GO까지의 최단 경로")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto(f"/console/gates/{GATE}")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_history_of_a_gate_is_filtered_and_grows(visit: Visitor, filled: Filled) -> None:
    run = failed(filled, "history")
    page = visit(f"/gates/{GATE}?subject=history", role="viewer")
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(str(run))
    with filled.http() as http:
        judge(http, "1.0", subject="history")
    expect(rows).to_have_count(2)  # by itself
    page.get_by_label("Subject").fill("nobody's")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing fits the filter")).to_be_visible()


HIDES = """Object.defineProperty(document, "visibilityState", { get: () => (window.looked ? "visible" : "hidden") })"""
LOOKS = "(seen) => { window.looked = seen; document.dispatchEvent(new Event('visibilitychange')); }"


def listen_for_looks(page: Page, run: int) -> list[str]:
    """The orders by which a page says that it was looked at, as they come."""
    said: list[str] = []
    end = f"/runs/{run}/seen"
    page.on("request", lambda one: said.append(one.url) if one.method == "POST" and end in one.url else None)
    return said


def test_who_really_looked_is_shown_to_all(visit: Visitor, filled: Filled) -> None:
    run = failed(filled, "watched")
    page = visit("", role="viewer")
    said = listen_for_looks(page, run)
    page.add_init_script(HIDES)  # as a page that is loaded in the background
    page.goto(f"/console{address(run)}")
    seen = panel(page, "Seen by")
    expect(seen).to_contain_text("Nobody yet")
    page.evaluate(LOOKS, True)
    page.evaluate(LOOKS, False)  # passed by
    # Whoever came later and looked is there, so the time that it takes is over for this page, too.
    other = panel(visit(address(run), role="auditor"), "Seen by")
    expect(other.locator("strong")).to_have_text("audrey")
    assert said == []
    page.evaluate(LOOKS, True)
    expect(seen.locator("strong")).to_have_text(["audrey", "viktor"])
    expect(other.locator("strong")).to_have_text(["audrey", "viktor"])  # by itself
    assert len(said) == 1

    # Back and forth in the same tab is one look.
    page.get_by_role("navigation", name="Where you are").get_by_role("link", name=GATE, exact=True).click()
    expect(page.locator("table.runs tbody tr").first).to_be_visible()
    page.go_back()
    expect(seen.locator("strong")).to_have_text(["audrey", "viktor"])
    visit(address(run), role="operator")
    expect(seen.locator("strong")).to_have_text(["audrey", "viktor", "olga"])
    assert len(said) == 1


def test_a_verdict_that_could_not_be_shown_was_seen_by_nobody(visit: Visitor, filled: Filled) -> None:
    run = failed(filled, "unseen")
    visit.expect(rf"503 GET .*/runs/{run}$")
    page = visit("", role="viewer")
    said = listen_for_looks(page, run)
    page.route(f"**/api/gates/{GATE}/runs/{run}?*", lambda route: route.fulfill(status=503, body="{}"))
    page.goto(f"/console{address(run)}")
    again = page.get_by_role("alert").get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    expect(panel(visit(address(run), role="auditor"), "Seen by").locator("strong")).to_have_text("audrey")
    assert said == []
    page.unroute_all()
    again.click()
    expect(panel(page, "Seen by").locator("strong")).to_have_text(["audrey", "viktor"])
    assert len(said) == 1


def test_a_run_that_there_is_not_is_said(visit: Visitor) -> None:
    visit.expect(r"404 GET .*/runs/7")
    page = visit("", role="viewer")
    page.goto(f"/console{address(7)}")
    expect(page.get_by_role("alert")).to_contain_text("has no run 7")
