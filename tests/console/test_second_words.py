"""What takes two persons: accepted baselines, the confirmation of an override, and a word for somebody who is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Visitor
from tests.console.filling import FAILED, PASSED, POLICY, Filled, ok, report
from tests.console.test_verdict import address, failed, panel
from tests.unit.governance.samples import sarif

SCANNED, AWAY = "scanned", "away"
SCAN = """\
  - id: no_new_finding
    title: No new high finding
    severity: required
    weight: 1
    kind: scan.sarif
    scope: version
    max_age_hours: 24
    condition: derived.new_severe_count == 0
    observed: "{derived.new_severe_count} new findings"
    wanted: 0 new
"""


def _found(*names: str) -> bytes:
    return sarif(
        [
            {"ruleId": f"R-{name}", "level": "error", "message": {"text": name}, "partialFingerprints": {"f": name}}
            for name in names
        ]
    )


def _judged(filled: Filled, gate: str, subject: str) -> int:
    with filled.http() as http:
        run = ok(http.post(f"/api/gates/{gate}/runs", json={"subject": subject, "version": "1.0"}))
    assert run["verdict"] == "NO_GO", run
    return int(run["run_id"])


def _says(page: Page, button: str, reason: str) -> None:
    """Press a button that asks for a reason, by keys alone."""
    page.get_by_role("button", name=button).first.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=button.partition(":")[0], exact=True).press("Enter")
    expect(dialog).to_have_count(0)


def test_findings_are_accepted_by_two_until_a_day_and_revoked(visit: Visitor, filled: Filled) -> None:
    content = POLICY.replace("name: first", f"name: {SCANNED}") + SCAN
    with filled.http() as http:
        ok(http.put(f"/api/policies/{SCANNED}", json={"content": content, "reason": "scans count"}))
        for name, body in (("junit", PASSED), ("sarif", _found("a", "b"))):
            report(http, name, "1.0", body, subject="scanned")
    run = _judged(filled, SCANNED, "scanned")
    asking, approving = (visit(address(run, SCANNED), role=role) for role in ("operator", "manager"))
    asking.get_by_role("button", name="Ask to accept the findings of now").press("Enter")
    dialog = asking.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("old code, which goes in spring")
    dialog.get_by_label("Issue").fill("OPS-21")
    dialog.get_by_role("button", name="Ask to accept the findings of now").press("Enter")
    expect(dialog).to_have_count(0)
    expect(panel(asking, "Accepted baselines").get_by_role("button", name="Approve")).to_have_count(0)

    baselines = panel(approving, "Accepted baselines")
    expect(baselines).to_contain_text("2 findings")  # it appears by itself
    expect(baselines).to_contain_text("OPS-21")
    _says(approving, "Approve: Accepted baseline", "looked at both")
    expect(baselines).to_contain_text("in force")
    asking.get_by_role("button", name="Judge again").click()
    asking.get_by_role("dialog").get_by_role("button", name="Judge again").click()
    expect(asking.locator(".verdict-head")).to_contain_text("GO with warnings")
    _says(approving, "Revoke: Accepted baseline", "it spread")
    expect(baselines).to_contain_text("No findings are accepted")
    baselines.locator("summary").press("Enter")
    expect(baselines).to_contain_text("it spread")


def test_an_override_is_confirmed_by_somebody_else(visit: Visitor, filled: Filled) -> None:
    run = failed(filled, "confirmed")
    why = "Customers can't pay since noon; the failing test is about an old report, so only that may be wrong."
    with filled.http() as http:
        made = ok(http.post(f"/api/gates/first/runs/{run}/override", json={"reason": why, "issue": "OPS-22"}))
    at = address(made["run"]["run_id"])
    giving, confirming = visit(at), visit(at, role="manager")
    expect(panel(giving, "Holds")).to_contain_text("not confirmed yet")
    expect(panel(giving, "Holds").get_by_role("button", name="Confirm")).to_have_count(0)  # not one's own
    expect(panel(confirming, "Holds")).to_contain_text(why)
    _says(confirming, "Confirm", "called the bank, it is so")
    for page in (confirming, giving):  # the other page is told
        expect(panel(page, "Holds")).to_contain_text("confirmed by mia")
    expect(panel(confirming, "Holds").get_by_role("button", name="Confirm")).to_have_count(0)
    _says(giving, "Revoke: Emergency override", "it is mended")
    expect(panel(giving, "Holds").get_by_text(why)).to_have_count(0)


@pytest.fixture(scope="module")
def stand_in(filled: Filled) -> Iterator[Filled]:
    """Nora, a second manager, who stands in for mia; and a gate that waits for the word of a manager."""
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": "nora", "role": "manager", "sites": ["*"]}))
        filled.tokens["nora"] = ok(http.post("/api/tokens", json={"username": "nora", "label": "console"}))["token"]
        terms = "approvals: {count: 1, roles: [manager]}\npublish_approvals: {count: 1, roles: [manager]}"
        content = POLICY.replace("name: first", f"name: {AWAY}\n{terms}")
        ok(http.put(f"/api/policies/{AWAY}", json={"content": content, "reason": "two see more than one"}))
        report(http, "junit", "1.0", PASSED, subject="away")
    with filled.http("manager") as http:
        ends_at = (datetime.now(UTC) + timedelta(days=3)).isoformat()
        given = ok(http.post("/api/delegations", json={"to_user": "nora", "ends_at": ends_at, "reason": "on leave"}))
    yield filled
    with filled.http("manager") as http:
        ok(http.post(f"/api/delegations/{given['delegation_id']}/end", json={"reason": "the tests are over"}))
    del filled.tokens["nora"]


def test_a_candidate_is_approved_for_somebody_who_is_away(visit: Visitor, stand_in: Filled) -> None:
    visit.expect(r"403 POST .*/approvals")
    run = _judged(stand_in, AWAY, "away")
    page = visit(address(run, AWAY), role="nora")
    panel(page, "Approvals").get_by_role("button", name="Approve").press("Enter")
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("For somebody else")
    expect(dialog.locator("datalist option")).to_have_count(1)  # whoever has delegated to her is offered
    field.fill("owner")
    dialog.get_by_label("Reason").fill("as mia asked me to")
    dialog.get_by_role("button", name="Approve").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("owner has not delegated to you")
    field.fill("mia")
    dialog.get_by_role("button", name="Approve").press("Enter")
    expect(page.locator(".verdict-head")).to_contain_text("GO with warnings")
    expect(panel(page, "Approvals")).to_contain_text("mia")
    expect(panel(page, "Approvals")).to_contain_text("by nora")


def test_whose_word_would_be_refused_reads_why_in_place_of_buttons(visit: Visitor, stand_in: Filled) -> None:
    with stand_in.http() as http:
        report(http, "junit", "1.0", PASSED, subject="unheard")
    at = address(_judged(stand_in, AWAY, "unheard"), AWAY)
    other = panel(visit(at), "Approvals")
    expect(other).to_contain_text("wants the word of roles manager; the role of owner is owner")
    expect(other.get_by_role("button", name=re.compile("^(Approve|Refuse)"))).to_have_count(0)
    page = visit(at, role="manager")
    mine = panel(page, "Approvals")
    _says(page, "Refuse", "the texts are missing")
    expect(mine).to_contain_text("mia has said a word on this already")
    expect(mine.get_by_role("button", name=re.compile("^(Approve|Refuse)"))).to_have_count(0)
    _says(page, "Take it back: refused", "they are there")
    expect(mine.get_by_role("button", name="Approve")).to_be_visible()


def test_what_a_rule_forbids_can_be_refused_and_not_approved(visit: Visitor, stand_in: Filled) -> None:
    with stand_in.http() as http:
        report(http, "junit", "1.0", FAILED, subject="red")
    page = visit(address(_judged(stand_in, AWAY, "red"), AWAY), role="manager")
    approvals = panel(page, "Approvals")
    expect(approvals).to_contain_text("It can't be approved while its rules forbid GO.")
    expect(approvals.get_by_role("button", name="Refuse")).to_be_visible()
    expect(approvals.get_by_role("button", name="Approve")).to_have_count(0)


def test_who_wrote_a_policy_is_not_asked_to_approve_it(visit: Visitor, stand_in: Filled) -> None:
    with stand_in.http("manager") as http:
        text = ok(http.get(f"/api/policies/{AWAY}"))["parts"][0]["content"]
        ok(http.put(f"/api/policies/{AWAY}/draft", json={"content": f"{text}# by mia\n"}))
    beside = visit(f"/policies/{AWAY}", role="manager").get_by_role("complementary")
    expect(beside).to_contain_text("mia wrote this text; somebody else must approve it.")
    expect(beside.get_by_role("button", name="Approve")).to_have_count(0)
    reading = visit(f"/policies/{AWAY}", role="nora")
    reading.get_by_role("complementary").get_by_role("button", name="Approve").press("Enter")
    expect(reading.get_by_role("dialog").get_by_label("For somebody else")).to_have_count(0)  # mia's would not count


def test_a_policy_is_approved_for_somebody_who_is_away(visit: Visitor, stand_in: Filled) -> None:
    with stand_in.http() as http:
        text = ok(http.get(f"/api/policies/{AWAY}"))["parts"][0]["content"]
        draft = ok(http.put(f"/api/policies/{AWAY}/draft", json={"content": f"{text}# more\n"}))
    page = visit(f"/policies/{AWAY}", role="nora")
    beside = page.get_by_role("complementary")
    beside.get_by_role("button", name="Approve").press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("read it for mia")
    dialog.get_by_label("For somebody else").fill("mia")
    dialog.get_by_role("button", name="Approve").press("Enter")
    expect(beside).to_contain_text("1 of 1 approved")
    expect(beside).to_contain_text("mia by nora")
    with stand_in.http() as http:
        found = ok(http.get(f"/api/policies/{AWAY}/approvals", params={"digest": draft["digest"]}))
    assert [(one["person"], one["username"]) for one in found["approvals"]] == [("mia", "nora")]
