"""Two people write at one draft: nobody's text is replaced unseen, and the second has a clear way out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from services.gateway.console import serving
from tests.console.conftest import Visitor
from tests.console.filling import POLICY, Filled, ok
from tests.local_traffic import await_that

MISSING = r"404 GET .*/draft"
DIFF = Path(serving.__file__).parent / "web" / "pages" / "policies" / "diff.js"
TOGETHER = """
import { readFileSync } from "node:fs";
const { file, texts } = JSON.parse(readFileSync(0, "utf8"));
const { together } = await import(file);
console.log(JSON.stringify(texts.map((three) => together(...three))));
"""


def _begun(filled: Filled, gate: str) -> str:
    """A gate with a policy; its text."""
    content = POLICY.replace("name: first", f"name: {gate}")
    with filled.http() as http:
        ok(http.put(f"/api/policies/{gate}", json={"content": content, "reason": "to begin with"}))
    return content


def _draft(filled: Filled, gate: str) -> Any:
    with filled.http() as http:
        return ok(http.get(f"/api/policies/{gate}/draft"))


def _types(page: Page, after: str, text: str) -> None:
    page.locator(".cm-line", has_text=after).first.click()
    page.keyboard.press("End")
    page.keyboard.insert_text(text)


def test_the_second_sees_both_before_one_is_replaced(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    _begun(filled, "shared")
    one, two = visit("/policies/shared"), visit("/policies/shared", role="manager")
    _types(one, "title: The first gate", " of the owner")
    _types(two, "title: The first gate", " of mia")
    one.keyboard.press("Control+s")
    expect(two.get_by_text("owner saved another text meanwhile.")).to_be_visible()
    two.keyboard.press("Control+s")
    dialog = two.get_by_role("dialog")
    expect(dialog).to_contain_text("owner saved another draft")
    expect(dialog.locator(".diff .removed")).to_have_text("-title: The first gate of the owner\n")
    expect(dialog.locator(".diff .added")).to_have_text("+title: The first gate of mia\n")
    expect(dialog).to_contain_text("at the same places")
    two.keyboard.press("Escape")
    assert "of the owner" in _draft(filled, "shared")["content"], "it was replaced unasked"

    two.get_by_role("button", name="Look at both").press("Enter")
    dialog.get_by_role("button", name="Save mine in its place").press("Enter")
    expect(dialog).to_be_hidden()
    assert "of mia" in _draft(filled, "shared")["content"]
    # Whose saved text was replaced still has it, and is told.
    expect(one.get_by_text("mia saved another text meanwhile.")).to_be_visible()
    expect(one.locator(".cm-content")).to_contain_text("of the owner")
    one.get_by_role("button", name="Look at both").click()
    one.get_by_role("dialog").get_by_role("button", name="Give mine up").click()
    expect(one.locator(".cm-content")).to_contain_text("of mia")
    expect(one.get_by_text("meanwhile")).to_have_count(0)


def test_changes_at_different_places_are_put_together(visit: Visitor, filled: Filled) -> None:
    """Although the page has not heard of the other draft yet when it saves: the API refuses."""
    visit.expect(MISSING, r"409 PUT .*/draft")
    content = _begun(filled, "joined")
    page = visit("/policies/joined", role="manager")
    _types(page, "title: The first gate", " of two")
    held: list[Route] = []
    page.route(
        "**/api/policies/joined/draft*",
        lambda route: held.append(route) if route.request.method == "GET" else route.continue_(),
    )
    theirs = content.replace("title: All tests pass", "title: All tests pass, always")
    with filled.http() as http:
        ok(http.put("/api/policies/joined/draft", json={"content": theirs}))
    with page.expect_response(lambda answer: answer.request.method == "PUT") as refused:
        page.keyboard.press("Control+s")
    assert refused.value.status == 409
    assert _draft(filled, "joined")["content"] == theirs
    page.unroute("**/api/policies/joined/draft*")
    for route in held:
        route.continue_()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Put both together").click()
    expect(dialog).to_be_hidden()
    text = page.locator(".cm-content")
    expect(text).to_contain_text("The first gate of two")
    expect(text).to_contain_text("All tests pass, always")
    expect(page.get_by_text("meanwhile")).to_have_count(0)
    page.get_by_role("button", name="Save draft and check").click()
    expect(page.get_by_role("complementary")).to_contain_text("Draft of mia")
    draft = _draft(filled, "joined")
    assert draft["content"] == theirs.replace("The first gate", "The first gate of two")
    assert draft["saved_by"] == "mia"


def test_a_draft_that_was_saved_meanwhile_is_not_dropped(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING, r"409 DELETE .*/draft")
    content = _begun(filled, "undropped")
    with filled.http() as http:
        ok(http.put("/api/policies/undropped/draft", json={"content": f"# one\n{content}"}))
        page = visit("/policies/undropped", role="manager")
        page.get_by_role("button", name="Drop draft").click()
        ok(http.put("/api/policies/undropped/draft", json={"content": f"# two\n{content}"}))
    expect(page.locator(".cm-content")).to_contain_text("# two")  # behind the dialog, which was opened for the first
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Drop draft").click()
    expect(dialog.get_by_role("alert")).to_contain_text("meanwhile")
    assert _draft(filled, "undropped")["content"].startswith("# two")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Drop draft").click()
    dialog.get_by_role("button", name="Drop draft").click()
    expect(dialog).to_be_hidden()
    with filled.http() as http:
        assert http.get("/api/policies/undropped/draft").status_code == 404


def test_only_what_does_not_touch_is_put_together() -> None:
    base = "a\nb\nc\nd\ne\n"
    cases: list[tuple[str, str, str | None]] = [
        ("A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n", "A\nb\nc\nd\nE\n"),
        ("a\nb\nd\ne\n", "a\nb\nc\nd\ne\nf\n", "a\nb\nd\ne\nf\n"),
        ("0\na\nb\nc\nd\ne\n", "a\nb\nc\ne\n", "0\na\nb\nc\ne\n"),
        ("a\nB\nc\nd\nE\n", "a\nB\nc\nd\ne\n", "a\nB\nc\nd\nE\n"),  # both did the same, one a little more
        (base, "a\nb\n", "a\nb\n"),
        ("a\nB\nc\nd\ne\n", "a\nbb\nc\nd\ne\n", None),
        ("a\nB\nc\nd\ne\n", "a\nb\nC\nd\ne\n", None),  # beside each other
        ("a\nb\nx\nc\nd\ne\n", "a\nb\ny\nc\nd\ne\n", None),
        ("", "a\nb\nc\nd\nE\n", None),
    ]
    told = json.dumps({"file": DIFF.as_uri(), "texts": [[base, mine, theirs] for mine, theirs, _ in cases]})
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", TOGETHER],
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert list(zip(cases, json.loads(ran.stdout), strict=True)) == [(case, case[2]) for case in cases]


def test_what_was_published_meanwhile_is_said_before_it_is_taken_back(visit: Visitor, filled: Filled) -> None:
    visit.expect(MISSING)
    content = _begun(filled, "overtaken")
    page = visit("/policies/overtaken")
    _types(page, "title: The first gate", " of the owner")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("of the owner").first).to_be_visible()
    with filled.http() as http:
        await_that("the draft", lambda: "of the owner" in _draft(filled, "overtaken")["content"])
        other = content.replace("title: The first gate", "title: The first gate of mia")
        ok(http.put("/api/policies/overtaken", json={"content": other, "reason": "meanwhile"}))
    said = "Version 2 was published since this text was begun."
    expect(page.get_by_text(said)).to_be_visible()
    page.reload()
    expect(page.get_by_text(said)).to_be_visible()  # of a draft that was saved before, too
    page.get_by_role("button", name="Publish…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(said)
    dialog.get_by_label("Reason").fill("it is meant so")
    dialog.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 3 is published.")).to_be_visible()
    expect(page.get_by_text("was published since")).to_have_count(0)
