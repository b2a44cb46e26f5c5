"""The console as files: one page at all its addresses, under a strict policy, with what it loads kept by browsers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from services.gateway.console import serving
from services.gateway.static_files import asset_of
from tests.http_edge import Http
from tests.stack import Stack

NAMED = re.compile(r'(?:href|src)="(/console/[^"]+)"')


@pytest.fixture(params=[True, False], ids=["built", "unbuilt"])
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """With what `make assets` makes, and without: the same wherever this test runs."""
    files = {name: one for name, one in serving.files().items() if not name.startswith("vendor/")}
    if request.param:
        for name in (serving.VENDOR, "vendor/uplot.css"):
            files[name] = asset_of(name, b"/* from npm */")
    monkeypatch.setattr(serving, "files", lambda: files)
    for kept in (serving.digest, serving.index):
        kept.cache_clear()
    yield request.param
    for kept in (serving.digest, serving.index):
        kept.cache_clear()


@pytest.fixture
async def http(stack: Stack, built: bool) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def test_the_page_is_the_same_at_all_its_addresses_and_may_load_only_from_here(http: Http, built: bool) -> None:
    anonymous = http.of(None)
    for address in ("/console", "/console/gates/release/runs/7", "/console/assets"):
        answer = await anonymous.get(address)
        if not built:
            assert (answer.status_code, answer.text) == (503, serving.UNBUILT)
            continue
        assert answer.status_code == 200, address
        assert answer.content == serving.index()
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert not re.search(r"<script>|<style|style=| on\w+=", answer.text), "nothing inline"


async def test_every_file_that_the_page_names_is_served_and_kept(http: Http, built: bool) -> None:
    if not built:
        return
    anonymous = http.of(None)
    named = NAMED.findall(serving.index().decode())
    assert len(named) > 10
    for address in named:
        answer = await anonymous.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        again = await anonymous.get(address, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
    # A page of before an upgrade gets the file of today, which its browser must not take for that of before.
    old = named[0].replace(serving.digest(), "0" * 16)
    answer = await anonymous.get(old)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fserving.py", "../serving.py", "%00", "vendor/licences.html"])
async def test_nothing_else_is_served(http: Http, name: str) -> None:
    answer = await http.of(None).get(f"/console/assets/{serving.digest()}/{name}")
    assert answer.status_code in (404, 422) or answer.content in (serving.index(), serving.UNBUILT.encode())
    assert b"def " not in answer.content


async def test_files_are_not_counted_but_pages_are(stack: Stack, built: bool) -> None:
    edge = await Http(stack).open(anonymous_requests_per_minute=3)
    try:
        name = "main.js"
        for _ in range(10):
            assert (await edge.of(None).get(f"/console/assets/{serving.digest()}/{name}")).status_code == 200
        statuses = [(await edge.of(None).get("/console")).status_code for _ in range(4)]
        assert statuses == [200 if built else 503] * 3 + [429]
    finally:
        await edge.close()
