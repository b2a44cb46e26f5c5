"""Audit, deliveries, backups and reports: what people look things up in, with what they may order there."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok
from tests.local_traffic import await_that


def test_an_entry_is_found_read_and_followed_to_what_its_request_set_off(visit: Visitor, filled: Filled) -> None:
    page = visit("/audit", role="auditor")
    search = page.get_by_role("search")
    search.get_by_label("What", exact=True).fill("governance.gate.run")
    search.get_by_label("What", exact=True).press("Enter")
    rows = page.locator("table.rows tbody tr")
    expect(rows.filter(has_text="governance.gate.run").first).to_be_visible()
    expect(rows.filter(has_text="gateway.session")).to_have_count(0)
    assert "action=governance.gate.run" in page.url
    opener = rows.first.get_by_role("button")
    opener.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("Proof", exact=True)).to_be_visible()
    expect(drawer.locator("pre").first).to_contain_text('"specversion": "1.0"')
    drawer.locator("dd a[href*='/audit/traces/']").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What one request set off")
    command = page.locator("ul.trace ul > li", has_text="governance.gate.run").first
    expect(command.locator("ul > li", has_text="governance.gate.decided").first).to_be_visible()


def test_a_receipt_proves_its_entry(visit: Visitor, filled: Filled) -> None:
    page = visit("/audit?entry=1")
    receipt = page.get_by_role("dialog").get_by_role("link", name="Download the receipt")
    with page.expect_download() as waiting:
        receipt.click()
    assert waiting.value.path().read_text().startswith("c2sp.org/tlog-proof@v1")


def test_the_log_is_verified_from_the_page(visit: Visitor, filled: Filled) -> None:
    page = visit("/audit/verification")
    page.get_by_role("button", name="Verify now").click()
    quick = page.locator("section", has=page.get_by_role("heading", name="Quick look at the chain"))
    expect(quick.get_by_text("all of it fits")).to_be_visible()
    page.get_by_role("button", name="Verify all of it").click()
    runs = page.locator("section", has=page.get_by_role("heading", name="Whole verifications"))
    expect(runs.locator("tbody tr").first).to_contain_text("all of it fits")
    with filled.http() as http:
        await_that("it is done", lambda: ok(http.get("/api/audit/verifications"))["items"][0]["status"] == "valid")


def test_who_may_not_read_the_log_is_told_which_right_it_takes(visit: Visitor, filled: Filled) -> None:
    page = visit("/audit/verification", role="viewer")
    expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
    expect(page.get_by_text("audit:read")).to_be_visible()


def test_a_subscription_is_made_paused_and_removed(visit: Visitor, filled: Filled) -> None:
    page = visit("/deliveries/targets")
    page.get_by_role("button", name="Add a subscription").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What it is for").fill("<b>made by hand</b>")
    dialog.get_by_label("Events").fill("governance.signers.published")  # which nobody publishes here
    dialog.get_by_label("Address").fill("https://1.1.1.1/hook")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").locator("pre")).to_contain_text("whsec_")
    page.get_by_role("dialog").locator("button.primary").click()
    mine = page.locator("ul.targets > li", has_text="<b>made by hand</b>")
    mine.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("not now")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(mine).to_contain_text("paused")
    expect(mine.get_by_role("button", name="Send a sample")).to_have_count(0)
    mine.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(mine).to_have_count(0)


def test_what_was_sent_is_listed_with_why_it_failed(visit: Visitor, filled: Filled) -> None:
    page = visit("/deliveries")
    row = {
        "delivery_id": 7, "subscription_id": 1, "channel_id": None, "purpose": "subscription", "state": "dead",
        "event_id": "01a22bb1-3ddb-730a-b132-d00000000000", "event_name": "governance.gate.decided", "site": "global",
        "created_at": "2026-11-30T09:00:00Z", "due_at": None, "attempt_count": 8, "last_attempt_at": None,
        "suppressed_at": None, "ended_at": None, "http_status": 500, "took_ms": 1.0, "error": "<i>no</i>", "note": None,
    }  # fmt: skip
    answer = json.dumps({"items": [row], "next_cursor": None})
    page.route("**/api/deliveries?*", lambda route: route.fulfill(body=answer, content_type="application/json"))
    page.get_by_label("State").select_option("dead")
    shown = page.locator("table.rows tbody tr")
    expect(shown).to_contain_text("given up")
    expect(shown).to_contain_text("<i>no</i>")
    assert "state=dead" in page.url


def test_a_rehearsal_is_asked_for(visit: Visitor, filled: Filled) -> None:
    page = visit("/backups")
    page.get_by_role("button", name="Ask for a rehearsal").click()
    expect(page.get_by_text("A rehearsal is asked for")).to_be_visible()


def test_reports_are_shown_made_and_downloaded(visit: Visitor, filled: Filled) -> None:
    page = visit("/reports")
    expect(page.locator(".chart canvas")).to_be_visible()
    page.get_by_role("button", name="Make and keep it").click()
    kept = page.locator("section", has=page.get_by_role("heading", name="Reports that were kept"))
    with page.expect_download() as waiting:
        kept.get_by_role("link", name="CSV").first.click()
    assert waiting.value.suggested_filename.endswith(".csv")
    page.get_by_role("link", name="Service levels").click()
    expect(page.get_by_role("heading", name="Latency of routes")).to_be_visible()


def test_pages_fit_a_telephone_in_korean(visit: Visitor, filled: Filled) -> None:
    for path in (
        "/audit",
        "/audit/witnesses",
        "/deliveries/targets",
        "/deliveries/guard",
        "/backups",
        "/reports",
        "/reports/slo",
    ):
        page = visit(path, language="ko", theme="dark", width=360)
        page.locator(".loading").first.wait_for(state="hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        page.context.close()
