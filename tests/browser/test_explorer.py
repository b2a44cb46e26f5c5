"""``/docs`` as a person uses it: open it, give a token, try an operation. In a real Chromium, if there is one here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.chromium import Browser, program
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(program() is None, reason="needs Chromium (Debian: the package chromium)"),
]
TAG = "document.querySelector('.opblock-tag[data-tag=\"gateway\"]')"
OPERATION = "document.querySelector('[data-path=\"/api/me\"]').closest('.opblock')"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def test_a_person_gives_a_token_and_tries_an_operation(http: Http) -> None:
    seen = await asyncio.to_thread(_try_me, http.url)
    assert seen.status == "200"
    assert '"username": "owner"' in seen.body
    assert seen.complaints == []
    assert seen.kept == 0
    assert {url.split("/", 3)[2] for url in seen.requests if not url.startswith("data:")} == {http.url[7:]}


async def test_the_plain_list_is_shown_without_complaints(http: Http) -> None:
    def look() -> tuple[list[str], str]:
        with Browser(program() or "") as browser:
            browser.open(f"{http.url}/reference")
            return browser.complaints, browser.run("getComputedStyle(document.querySelector('table')).borderCollapse")

    assert await asyncio.to_thread(look) == ([], "collapse")


class Seen:
    """What the page showed, and what the browser had to say."""

    def __init__(self, browser: Browser) -> None:
        answer = f"{OPERATION}.querySelector('.live-responses-table tbody')"
        self.status: str = browser.run(f"{answer}.querySelector('.response-col_status').innerText")
        self.body: str = browser.run(f"{answer}.querySelector('.highlight-code').innerText")
        self.kept: int = browser.run("localStorage.length + sessionStorage.length + document.cookie.length")
        self.complaints = browser.complaints
        self.requests = browser.requests


def _try_me(url: str) -> Seen:
    with Browser(program() or "") as browser:
        browser.open(f"{url}/docs")
        browser.wait(f"!!{TAG}")
        browser.run(f"{TAG}.click()")
        browser.wait("!!document.querySelector('[data-path=\"/api/me\"]')")
        browser.run("document.querySelector('.btn.authorize').click()")
        browser.wait("!!document.querySelector('#auth-bearer-value')")
        browser.run("document.querySelector('#auth-bearer-value').focus()")
        browser.call("Input.insertText", text=OWNER)
        browser.run("document.querySelector('.auth-container .authorize').click()")
        browser.wait("document.querySelector('.auth-container').innerText.includes('Logout')")
        browser.run("document.querySelector('.auth-container .btn-done').click()")
        browser.run(f"{OPERATION}.querySelector('.opblock-summary-control').click()")
        browser.wait(f"!!{OPERATION}.querySelector('.try-out__btn')")
        browser.run(f"{OPERATION}.querySelector('.try-out__btn').click()")
        browser.wait(f"!!{OPERATION}.querySelector('.execute')")
        browser.run(f"{OPERATION}.querySelector('.execute').click()")
        browser.wait(f"!!{OPERATION}.querySelector('.live-responses-table .highlight-code')")
        return Seen(browser)
