"""A hundred pictures: thirteen pages, two languages, schemes and widths, compared with what they looked like before.

Of each picture a coarse grid of what stands where is kept in ``pictures.txt``, so fonts and a row more or less may
differ (times are made the same), and a page that lost its layout, its colours or its style may not.
``HEADGATE_NEW_PICTURES=1`` writes the file anew; look at build/console/pictures first.
"""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.console.conftest import BUILD, Language, Theme, Visitor
from tests.console.filling import Filled
from tests.console.routes import address

FILE = Path(__file__).with_name("pictures.txt")
COLUMNS, ROWS = 24, 18
PAGES = ("/", "/gates/:gate", "/gates/:gate/runs/:run", "/board", "/autopilot", "/audit", "/deliveries", "/jobs",
         "/checks", "/backups", "/reports", "/policies", "/admin")  # fmt: skip
LANGUAGES: tuple[Language, ...] = ("en", "ko")
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (360, 1280)
LOOKS = list(itertools.product(LANGUAGES, THEMES, WIDTHS))
MAX_MEAN_STEPS = 1.8  # of 15, over the whole picture; a second run differs by 1.1 at the most, a lost menu by 3
MAX_FAR_SHARE = 0.28  # of the cells that may differ by more than 2 steps
# How much of the cells of a PNG is not background, a hexadecimal digit each: pages are mostly empty, so brightness
# alone says little. Runs on a page of its own, which no policy binds.
GRID = """async ([encoded, columns, rows]) => {
  const bytes = Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const fine = 10, width = columns * fine, height = rows * fine;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.imageSmoothingQuality = "high";
  canvas.drawImage(picture, 0, 0, width, height);
  const {data} = canvas.getImageData(0, 0, width, height);
  const bright = new Float64Array(width * height).map(
    (_, at) => data[at * 4] * 0.2126 + data[at * 4 + 1] * 0.7152 + data[at * 4 + 2] * 0.0722);
  const counts = new Map();
  for (const one of bright) counts.set(Math.round(one), (counts.get(Math.round(one)) ?? 0) + 1);
  const ground = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most))[0];
  const ink = new Float64Array(columns * rows);
  bright.forEach((one, at) => {
    const cell = Math.floor(at / width / fine) * columns + Math.floor((at % width) / fine);
    ink[cell] += Math.abs(one - ground) / 255;
  });
  const digits = [...ink].map((one) => Math.min(15, Math.round(one * 1.2)).toString(16));
  return (ground < 128 ? "d" : "l") + digits.join("");
}"""


def grid(plain: Page, picture: bytes) -> str:
    """Whether the ground is light or dark, and a digit for each of the cells, row by row."""
    found: str = plain.evaluate(GRID, [base64.b64encode(picture).decode(), COLUMNS, ROWS])
    return found


def differs(found: str, wanted: str) -> str | None:
    """How one grid differs from another; None if no more than it may."""
    if found[0] != wanted[0]:
        return "light is dark, or the other way round"
    steps = [abs(int(one, 16) - int(other, 16)) for one, other in zip(found[1:], wanted[1:], strict=True)]
    mean, far = sum(steps) / len(steps), sum(step > 2 for step in steps) / len(steps)
    if mean <= MAX_MEAN_STEPS and far <= MAX_FAR_SHARE:
        return None
    return f"{mean:.2f} steps on average, {far:.0%} of the cells far off"


def kept() -> dict[str, str]:
    """The grids by the names of their pictures."""
    if not FILE.exists():
        return {}
    return dict(line.rsplit(" ", 1) for line in FILE.read_text(encoding="utf-8").splitlines() if line)


@pytest.fixture
def plain(chromium: Browser) -> Iterator[Page]:
    """A page that only computes."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


# "9:00 AM" and "10:00 PM" differ in length, and a line that breaks moves all below it.
SAME_TIMES = "document.querySelectorAll('main time').forEach((one) => (one.textContent = 'Jan 1, 9:00 AM'))"
# Without a font all signs are the same box.
CAN_WRITE = """(signs) => new Set([...signs].map((sign) => {
  const canvas = new OffscreenCanvas(40, 40).getContext("2d");
  canvas.font = "32px sans-serif";
  canvas.fillText(sign, 0, 32);
  return canvas.getImageData(0, 0, 40, 40).data.join();
})).size === [...signs].length"""


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_pages_look_as_they_did(
    visit: Visitor, filled: Filled, plain: Page, language: Language, theme: Theme, width: int
) -> None:
    if language == "ko" and not plain.evaluate(CAN_WRITE, "가한을"):
        pytest.skip("no font for Hangul here; Debian has fonts-noto-cjk")
    visit.expect(r"40[34] GET .*(latest|draft)$", r"503 GET .*/api/status")
    page = visit(language=language, theme=theme, width=width)
    folder = BUILD / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    known, found = kept(), {}
    for pattern in PAGES:
        page.goto(f"/console{address(pattern, filled)}")
        page.locator("main h1").first.wait_for()
        page.locator("main .spinner").first.wait_for(state="detached")
        name = f"{pattern.strip('/').replace('/', '-').replace(':', '') or 'overview'} {language} {theme} {width}"
        page.evaluate(SAME_TIMES)
        picture = page.screenshot(path=folder / f"{name.replace(' ', '-')}.png")
        found[name] = grid(plain, picture)
    if os.environ.get("HEADGATE_NEW_PICTURES"):
        FILE.write_text(
            "".join(f"{name} {cells}\n" for name, cells in sorted((known | found).items())), encoding="utf-8"
        )
        return
    wrong = {
        name: differs(cells, known[name]) if name in known else "no such picture is kept"
        for name, cells in found.items()
    }
    assert {name: how for name, how in wrong.items() if how} == {}


def test_there_are_a_hundred() -> None:
    assert len(kept()) == len(PAGES) * len(LOOKS) == 104


def test_a_page_that_lost_something_is_seen(visit: Visitor, filled: Filled, plain: Page) -> None:
    page = visit("/board?gate=first")
    page.locator("table.board tbody tr").first.wait_for()
    whole = grid(plain, page.screenshot())
    assert differs(grid(plain, page.screenshot()), whole) is None
    for harm in (
        "document.querySelector('nav.menu').remove()",
        "document.documentElement.dataset.theme = 'dark'",
        "document.querySelectorAll('link[rel=stylesheet]').forEach((one) => one.remove())",
    ):
        page.evaluate(harm)
        assert differs(grid(plain, page.screenshot()), whole) is not None, harm
        page.reload()
        page.locator("table.board tbody tr").first.wait_for()
