"""A share link as a person opens it: what is behind the # goes into the form, and out of the address."""

from __future__ import annotations

import asyncio

import pytest

from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.browser.chromium import Browser, program
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(program() is None, reason="needs Chromium (Debian: the package chromium)"),
]


async def test_a_link_is_opened_by_its_button(stack: Stack) -> None:
    edge = await Http(stack).open()
    await stack.start(make_service(packaged_policies()))
    answer = await edge.client.post("/api/shares", json={"kind": "plan", "gate": "operations"})
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]

    def look() -> tuple[str, list[str], list[str]]:
        with Browser(program() or "") as browser:
            browser.open(f"{edge.url}/s#{token}")
            assert browser.run("location.href") == f"{edge.url}/s"
            assert browser.run("document.querySelector('#token').value") == token
            browser.run("document.querySelector('button[value=page]').click()")
            browser.wait("!!document.querySelector('table')")
            return browser.run("document.querySelector('h1').innerText"), browser.complaints, browser.requests

    title, complaints, requests = await asyncio.to_thread(look)
    assert (title, complaints) == ("Remediation plan", [])
    assert all(token not in url.partition("#")[0] for url in requests)
    await edge.close()
