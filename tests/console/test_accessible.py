"""Every page by axe-core (WCAG 2.2 AA), in both languages, both schemes, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.console.conftest import Language, Theme, Visitor
from tests.console.filling import Filled
from tests.console.routes import address, patterns

AXE = Path(__file__).parents[2] / "deploy" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS: list[tuple[Language, Theme, int]] = [
    ("en", "light", 1280),
    ("ko", "dark", 1280),
    ("en", "dark", 360),
    ("ko", "light", 360),
]


def violations(page: Page) -> list[str]:
    """What axe finds, a line each."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("tags => axe.run(document, {runOnly: tags})", TAGS)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_each_page_can_be_used_by_all(
    visit: Visitor, filled: Filled, language: Language, theme: Theme, width: int
) -> None:
    visit.expect(r"40[34] GET .*/(traces/|keeper/|latest$|draft$)")
    wrong: dict[str, list[str]] = {}
    page = visit(language=language, theme=theme, width=width)
    for pattern in patterns():
        page.goto(f"/console{address(pattern, filled)}")
        page.locator("main h1").first.wait_for()
        page.locator("main .spinner").first.wait_for(state="detached")
        if found := violations(page):
            wrong[pattern] = found
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            wrong.setdefault(pattern, []).append(f"{wide} px wider than the window")
    assert wrong == {}


def test_signing_in_can_be_used_by_all(visit: Visitor) -> None:
    visit.expect(r"401 GET .*/api/me")
    assert violations(visit(role=None)) == []


def test_what_stands_above_the_page_can_be_used_by_all(visit: Visitor, filled: Filled) -> None:
    page = visit(f"/board?gate=first&item={filled.item}")
    page.get_by_role("dialog").get_by_text("Looking into it.").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    assert violations(page) == []


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("/admin/webhooks", "Let a system read events"),
        ("/admin/webhooks", "Create a webhook"),
        ("/admin/settings?of=sign-in", "Try a sign-in"),
        ("/documents/freezes", "Import an iCalendar file"),
    ],
)
def test_long_dialogs_can_be_used_by_all(visit: Visitor, path: str, button: str) -> None:
    page = visit(path, theme="dark", width=360)
    page.get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").wait_for()
    assert violations(page) == []
    assert dialog.evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0
