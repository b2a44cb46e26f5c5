"""The console as files: one page at all its addresses, under a strict policy, with what it loads kept by browsers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import pytest

from services.gateway.console import serving
from services.gateway.console.folder import files_of
from services.gateway.static_files import KINDS, digest_of
from tests.http_edge import Http
from tests.stack import Stack

NAMED = re.compile(r'(?:href|src)="(/console/[^"]+)"')


@pytest.fixture(params=["built", "sources", "nothing"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """What `make assets` made is served, or the sources are, or it never ran: the same wherever this test runs."""
    home = Path(serving.__file__).parent
    shutil.copytree(home / "web", tmp_path / "web", ignore=shutil.ignore_patterns("vendor"))
    shutil.copy(home / "index.html", tmp_path)
    if request.param != "nothing":
        (tmp_path / "web" / "vendor").mkdir()
        for name in ("preact.js", "uplot.css"):
            (tmp_path / "web" / "vendor" / name).write_text("/* from npm */")
    if request.param == "built":
        _build(tmp_path)
    monkeypatch.setattr(serving, "site", cache(lambda: files_of(tmp_path)))
    for kept in (serving.digest, serving.index):
        kept.cache_clear()
    yield request.param
    for kept in (serving.digest, serving.index):
        kept.cache_clear()


def _build(home: Path) -> None:
    """As `make assets` does it, without Node.js: the page names a script and a style."""
    sources = [path for path in (home / "web").rglob("*") if path.suffix in KINDS]
    made_of = {str(path.relative_to(home)): digest_of(path.read_bytes()) for path in [*sources, home / "index.html"]}
    (home / "built").mkdir()
    (home / "built" / "sources.json").write_text(json.dumps(made_of))
    for name in ("main.js", "style.css", "chunk-A1.js"):
        (home / "built" / name).write_text(f"/* {name} */")
    links = '<link rel="stylesheet" href="{{ assets }}/style.css"><link href="{{ assets }}/chunk-A1.js">'
    (home / "built" / "index.html").write_text(f'{links}<script type="module" src="{{{{ assets }}}}/main.js"></script>')


@pytest.fixture
async def http(stack: Stack, kind: str) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def test_the_page_is_the_same_at_all_its_addresses_and_may_load_only_from_here(http: Http, kind: str) -> None:
    anonymous = http.of(None)
    for address in ("/console", "/console/gates/release/runs/7", "/console/assets"):
        answer = await anonymous.get(address)
        if kind == "nothing":
            assert (answer.status_code, answer.text) == (503, serving.UNBUILT)
            continue
        assert answer.status_code == 200, address
        assert answer.content == serving.index()
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert not re.search(r"<script>|<style|style=| on\w+=", answer.text), "nothing inline"


async def test_every_file_that_the_page_names_is_served_and_kept(http: Http, kind: str) -> None:
    if kind == "nothing":
        return
    anonymous = http.of(None)
    named = NAMED.findall((serving.index() or b"").decode())
    assert len(named) > (2 if kind == "built" else 10)
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


async def test_files_are_not_counted_but_pages_are(stack: Stack, kind: str) -> None:
    edge = await Http(stack).open(anonymous_requests_per_minute=3)
    try:
        name = "main.js"
        for _ in range(10):
            assert (await edge.of(None).get(f"/console/assets/{serving.digest()}/{name}")).status_code == 200
        statuses = [(await edge.of(None).get("/console")).status_code for _ in range(4)]
        assert statuses == [503 if kind == "nothing" else 200] * 3 + [429]
    finally:
        await edge.close()
