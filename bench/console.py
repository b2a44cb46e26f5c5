"""``python -m bench.console``: the console with 200 verdicts and 10,000 items, in a real Chromium beside a bare page.

It starts an installation of its own, fills it by the API and prints times in milliseconds: until the overview first
shows something and until all 200 tiles are there (cold cache, then warm), and how long frames take while the board of
10,000 items scrolls, beside a page that only scrolls a long list of plain text. Needs what `make console-test` needs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from rich.console import Console

from deploy.local import LocalStack
from tests.browser.chromium import program
from tests.local_traffic import await_that, client, started

SUBJECTS, RULES = 200, 50  # an item for each rule of each subject: 10,000
ROUNDS = 5
SCROLL_FRAMES = 240
RULE = """\
  - id: check_{number:02}
    title: Check {number}
    severity: required
    weight: 1
    kind: test.junit
    scope: version
    max_age_hours: 24
    condition: derived.passed > {number}
    observed: "{{derived.passed}} passed"
    wanted: more than {number}
    owner_role: QA Lead
    sla_hours: 8
    action: Mend it.
"""
POLICY = (
    "name: crowd\ntitle: A crowd\ndescription: Nothing passes.\nsubject_mode: version\nallow_warnings: true\n"
    "min_score_percent: 0\nrules:\n" + "".join(RULE.format(number=number) for number in range(RULES))
)
# Notes when all tiles are there, by the page's own clock.
WATCH = f"""const look = () => document.querySelectorAll(".tile").length >= {SUBJECTS}
  ? (window.tilesAt = performance.now()) : requestAnimationFrame(look);
requestAnimationFrame(look);"""
TILES = """() => new Promise((resolve) => {
  const look = () => window.tilesAt ? resolve(window.tilesAt) : requestAnimationFrame(look);
  look();
})"""
# Scrolls the element on, frame after frame, and returns how long each frame took.
SCROLL = """([selector, count]) => new Promise((resolve) => {
  const place = document.querySelector(selector), took = [];
  let before = performance.now();
  const step = (now) => {
    took.push(now - before);
    before = now;
    place.scrollTop += 400;
    if (took.length < count) requestAnimationFrame(step); else resolve(took.slice(5));
  };
  requestAnimationFrame(step);
})"""
PLAIN = "<!doctype html><div id=list style='height:600px;overflow:auto'></div>"
FILL = (
    "list.innerHTML = Array.from({length: 10000}, (_, row) => "
    "`<p style='height:28px;margin:0'>row ${row}</p>`).join('')"
)


def _ok(answer: httpx2.Response) -> Any:
    answer.raise_for_status()
    return answer.json()


def _fill(http: httpx2.Client) -> None:
    _ok(http.put("/api/policies/crowd", json={"content": POLICY, "reason": "a crowd"}))

    def judge(number: int) -> None:
        _ok(http.post("/api/gates/crowd/runs", json={"subject": f"app-{number:03}", "version": "1.0.0"}))

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(judge, range(SUBJECTS)))
    overview = "/api/ops/governance/gate/remediation/tracker/items/page"
    last: dict[str, str | int] = {"gate": "crowd", "subject": f"app-{SUBJECTS - 1:03}", "limit": 500}
    await_that("all items", lambda: len(_ok(http.get(overview, params=last))["items"]) == RULES, within_s=120)


def _context(browser: Browser, stack: LocalStack) -> BrowserContext:
    context = browser.new_context(base_url=stack.gateway_url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    answer = context.request.post("/api/sessions", headers={"Authorization": f"Bearer {stack.token}"}, data={})
    if answer.status != 201:
        raise SystemExit(f"bench.console: no session: {answer.text()}")
    return context


def _overview(browser: Browser, stack: LocalStack) -> dict[str, float]:
    """Milliseconds: first paint and all tiles, with an empty cache and with a full one."""
    context = _context(browser, stack)
    page = context.new_page()
    page.add_init_script(WATCH)
    found: dict[str, float] = {}
    for kind in ("cold", "warm"):
        page.goto("/console")
        all_there = page.evaluate(TILES)
        paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        found[f"first paint, {kind}"] = page.evaluate(paint)
        found[f"{SUBJECTS} tiles, {kind}"] = all_there
    context.close()
    return found


def _frames(browser: Browser, stack: LocalStack) -> dict[str, float]:
    """Milliseconds of a frame: median and the slowest of twenty, of the board and of plain text."""
    context = _context(browser, stack)
    board = context.new_page()
    board.goto("/console/board?gate=crowd")
    board.locator("table.board[aria-rowcount='10001']").wait_for()
    taken = {"board": board.evaluate(SCROLL, [".board-scroll", SCROLL_FRAMES])}
    rows = board.locator("table.board tbody tr").count()
    plain = context.new_page()
    plain.set_content(PLAIN)
    plain.evaluate(FILL)
    taken["plain text"] = plain.evaluate(SCROLL, ["#list", SCROLL_FRAMES])
    context.close()
    found = {f"rows of the board in the page, of {SUBJECTS * RULES}": float(rows)}
    for name, frames in taken.items():
        found[f"frame, {name}, median"] = statistics.median(frames)
        found[f"frame, {name}, p95"] = statistics.quantiles(frames, n=20)[-1]
    return found


def main() -> int:
    """Measure and print; 2 if there is no browser."""
    console = Console(highlight=False)
    if (executable := program()) is None:
        console.print("bench.console needs Chromium (Debian: the package chromium), or HEADGATE_TEST_BROWSER.")
        return 2
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        generous = {"HEADGATE_REQUESTS_PER_MINUTE": "1000000", "HEADGATE_ANONYMOUS_REQUESTS_PER_MINUTE": "1000000"}
        with started(LocalStack(Path(folder) / "data", env=generous)) as stack, sync_playwright() as driver:
            with client(stack) as http:
                _fill(http)
            options = ["--no-sandbox", "--disable-dev-shm-usage"]
            browser = driver.chromium.launch(executable_path=executable, args=options)
            rounds = [_overview(browser, stack) | _frames(browser, stack) for _ in range(ROUNDS)]
            browser.close()
    for name in rounds[0]:
        values = sorted(one[name] for one in rounds)
        console.print(f"{name:<45} {statistics.median(values):8.1f}   ({values[0]:.1f} to {values[-1]:.1f})")
    ratio = statistics.median(one["frame, board, p95"] / one["frame, plain text, p95"] for one in rounds)
    console.print(f"{'p95 of frames: the board / plain text':<45} {ratio:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
