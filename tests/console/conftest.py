"""A filled installation, and pages of a real Chromium in which somebody is signed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

from deploy.local import LocalStack
from services.gateway.console import serving
from tests.browser.chromium import program
from tests.console.filling import Filled, fill
from tests.local_traffic import started

Language = Literal["en", "ko"]
Theme = Literal["light", "dark"]
BUILD = Path(__file__).parents[2] / "build" / "console"
PATIENCE_MS = 20_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is `make console-test`. Pictures are taken of what nobody has changed yet."""
    items.sort(key=lambda item: item.path.name != "test_pictures.py")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("console")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The machine's own browser: nothing is downloaded."""
    executable = program()
    if executable is None:
        pytest.fail("The console's tests need Chromium (Debian: the package chromium), or HEADGATE_TEST_BROWSER.")
    if serving.index() is None:
        pytest.fail("The console is not built; run: make assets")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """All of Headgate; targets on this machine may be called, so that tests can say how they answer."""
    generous = {"HEADGATE_REQUESTS_PER_MINUTE": "1000000", "HEADGATE_ANONYMOUS_REQUESTS_PER_MINUTE": "1000000"}
    environment = generous | {"HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]'}
    with started(LocalStack(tmp_path_factory.mktemp("local") / "data", env=environment)) as stack:
        yield stack


@pytest.fixture(scope="session")
def filled(local_stack: LocalStack) -> Filled:
    """See `fill`."""
    return fill(local_stack)


class Visitor:
    """Opens pages, and notes what a browser complains of on them: a test fails by that."""

    def __init__(self, chromium: Browser, filled: Filled) -> None:
        self._chromium, self._filled = chromium, filled
        self.complaints: list[str] = []
        self.expected: list[str] = []

    def __call__(
        self,
        path: str = "",
        *,
        role: str | None = "owner",
        language: Language = "en",
        theme: Theme = "light",
        width: int = 1280,
        by: str | None = None,
    ) -> Page:
        """A page of the console, signed in with a session of that role (None: nobody), once its title is there.

        ``by``: another address of the gateway, such as that of a `Line`.
        """
        context = self._chromium.new_context(
            viewport={"width": width, "height": 900},
            locale={"en": "en-GB", "ko": "ko-KR"}[language],
            timezone_id="Asia/Seoul",
            color_scheme=theme,
            reduced_motion="reduce",
            base_url=by or self._filled.stack.gateway_url,
        )
        context.set_default_timeout(PATIENCE_MS)
        if role is not None:
            authorization = {"Authorization": f"Bearer {self._filled.tokens[role]}"}
            answer = context.request.post("/api/sessions", headers=authorization, data={})
            assert answer.status == 201, answer.text()
        page = context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("response", self._answered)
        page.on("requestfailed", self._failed)
        page.goto(f"/console{path}")
        page.locator("h1").first.wait_for()
        return page

    def expect(self, *patterns: str) -> None:
        """Complaints that belong to what a test does, such as a refusal that it provokes."""
        self.expected += patterns

    def unexpected(self) -> list[str]:
        """What nobody announced."""
        return [one for one in self.complaints if not any(re.search(pattern, one) for pattern in self.expected)]

    def close(self) -> None:
        """Close all pages."""
        for context in self._chromium.contexts:
            context.close()

    def _said(self, message: ConsoleMessage) -> None:
        # What failed to load is noted by its answer, which says more.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.request.method} {response.url.partition('?')[0]}")

    def _failed(self, request: Request) -> None:
        # What a page asked and left is no fault.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.complaints.append(f"failed: {request.method} {request.url}: {request.failure}")


@pytest.fixture
def visit(chromium: Browser, filled: Filled, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """See `Visitor`. A failed test leaves a picture of its pages in build/console."""
    visitor = Visitor(chromium, filled)
    yield visitor
    report = getattr(request.node, "outcome_of_call", None)
    if report is not None and report.failed:
        BUILD.mkdir(parents=True, exist_ok=True)
        for number, context in enumerate(chromium.contexts):
            for page in context.pages:
                name = re.sub(r"[^\w.-]+", "-", request.node.name)
                page.screenshot(path=BUILD / f"{name}-{number}.png")
    visitor.close()
    assert visitor.unexpected() == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """So that `visit` knows how its test went."""
    outcome = yield
    if call.when == "call":
        item.outcome_of_call = outcome.get_result()  # type: ignore[attr-defined]


Visit = Callable[..., Page]
