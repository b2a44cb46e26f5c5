"""A newcomer's ten tasks, from NO-GO to a proven GO, by the keyboard alone; the pictures stand in docs/console.md.

``HEADGATE_TOUR_PICTURES=1`` writes them into docs/console, else they go to build/console/tour.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import BUILD, Visitor
from tests.console.filling import FAILED, GATE, Filled, judge, report

DOCS = Path(__file__).parents[2] / "docs" / "console"
MAX_TABS = 250
SUBJECT = "checkout"


class Keys:
    """A page that is only ever used by keys."""

    def __init__(self, page: Page) -> None:
        self.page, self.number = page, 0

    def reach(self, target: Locator) -> None:
        """Go on with the Tab key until it has the focus; fails if it never gets it."""
        target.wait_for()
        for _ in range(MAX_TABS):
            if target.evaluate("one => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not come to {target}")

    def press(self, target: Locator) -> None:
        """Come to a button or link, and use it."""
        self.reach(target)
        self.page.keyboard.press("Enter")

    def type(self, target: Locator, text: str) -> None:
        """Come to a field, and fill it."""
        self.reach(target)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def picture(self, number: int) -> None:
        """What is seen now."""
        folder = DOCS if os.environ.get("HEADGATE_TOUR_PICTURES") else BUILD / "tour"
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"tour-{number:02}.png")


def test_ten_tasks_by_the_keyboard(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"401 GET .*/api/me")
    with filled.http() as http:
        report(http, "junit", "2.0.0", FAILED, subject=SUBJECT)
        assert judge(http, "2.0.0", subject=SUBJECT)["verdict"] == "NO_GO"
    olga = Keys(visit(role=None))
    address = _see_why(olga, filled.tokens["operator"])
    _take_what_must_be_done(olga)
    _waive(visit, olga, address)
    _verify(Keys(visit("/audit/verification", role="auditor")))


def _see_why(olga: Keys, token: str) -> str:
    """Tasks 1 to 3; returns the verdict's address."""
    page = olga.page
    # 1. Sign in.
    olga.reach(page.get_by_label("Password", exact=True).first)
    page.keyboard.press("ArrowRight")
    olga.type(page.locator("input[name=token]"), token)
    olga.picture(1)
    page.keyboard.press("Enter")

    # 2. What may not go?
    expect(page.get_by_role("heading", level=1)).to_have_text("May we release?")
    olga.type(page.get_by_label("Find a subject or version"), SUBJECT)
    tile = page.get_by_role("link", name=f"{SUBJECT} 2.0.0").first
    expect(tile).to_be_visible()
    olga.picture(2)

    # 3. Why?
    olga.press(tile)
    expect(page.locator(".verdict-head")).to_contain_text("1 of 2 tests failed")
    olga.picture(3)
    return page.url


def _take_what_must_be_done(olga: Keys) -> None:
    """Tasks 4 to 6."""
    page = olga.page
    # 4. Find what must be done.
    page.goto(f"/console/board?gate={GATE}")
    row = page.locator("table.board tbody tr", has_text=SUBJECT).filter(has_text="tests_pass")
    expect(row).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type(SUBJECT)
    page.keyboard.press("Escape")
    for _ in range(5):
        page.keyboard.press("j")
        if "tests_pass" in page.locator("tr.at").inner_text():
            break
    olga.picture(4)

    # 5. Take it.
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    olga.press(drawer.get_by_role("button", name="Take it"))
    expect(drawer.get_by_role("definition").filter(has_text="olga").first).to_be_visible()
    olga.picture(5)

    # 6. Say what is known.
    olga.type(drawer.get_by_label("Your comment"), "The payment sandbox is down until Monday.")
    olga.press(drawer.get_by_role("button", name="Comment", exact=True))
    expect(drawer.locator("p.said")).to_have_text("The payment sandbox is down until Monday.")
    olga.picture(6)
    page.keyboard.press("Escape")


def _waive(visit: Visitor, olga: Keys, address: str) -> None:
    """Tasks 7 to 9."""
    page = olga.page
    # 7. Ask for a waiver.
    page.goto(address)
    olga.press(page.get_by_role("button", name="Ask for a waiver").last)
    dialog = page.get_by_role("dialog")
    olga.type(dialog.get_by_label("Reason"), "the sandbox is down, the real thing is not")
    olga.picture(7)
    olga.press(dialog.get_by_role("button", name="Ask for a waiver"))
    expect(dialog).to_have_count(0)

    # 8. Somebody else approves it.
    mia = Keys(visit(address.partition("/console")[2], role="manager"))
    waivers = mia.page.locator("section.panel").filter(has=mia.page.get_by_role("heading", name="Waivers", exact=True))
    mia.press(waivers.get_by_role("button", name="Approve").first)
    said = mia.page.get_by_role("dialog")
    mia.type(said.get_by_label("Reason"), "seen, until Monday")
    mia.picture(8)
    mia.press(said.get_by_role("button", name="Approve"))
    expect(waivers.get_by_text("in force")).to_be_visible()

    # 9. See GO.
    olga.press(page.get_by_role("button", name="Judge again"))
    olga.press(page.get_by_role("dialog").get_by_role("button", name="Judge again"))
    expect(page.locator(".verdict-head")).to_contain_text("GO with warnings")
    olga.picture(9)


def _verify(audrey: Keys) -> None:
    """Task 10."""
    page = audrey.page
    # 10. Verify the log that all this stands in.
    audrey.press(page.locator("section.panel").nth(1).get_by_role("button").first)
    expect(page.locator("section.panel").nth(1).locator(".chip.good")).to_be_visible()
    audrey.picture(10)
