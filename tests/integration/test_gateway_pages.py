"""The pages for people: what their security policy allows, and that everything they name is served by us."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from services.gateway.documents import explorer
from services.gateway.documents.explorer import AssetsMissing
from services.gateway.pages import PUBLIC
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration

NAMED = re.compile(r'(?:href|src)="([^"]+)"')


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


def policy_of(answer: httpx2.Response) -> dict[str, list[str]]:
    """The content security policy by directive."""
    parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in parts}


async def test_the_interactive_page_may_run_only_what_its_nonce_names(http: Http) -> None:
    anonymous = http.of(None)
    first, second = await anonymous.get("/docs"), await anonymous.get("/docs")
    policy = policy_of(first)
    nonce = policy["script-src"][0].removeprefix("'nonce-").removesuffix("'")
    assert policy == {
        "default-src": ["'none'"],
        "script-src": [f"'nonce-{nonce}'"],
        "style-src": [f"'nonce-{nonce}'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert len(nonce) >= 22
    assert nonce not in second.headers["Content-Security-Policy"]
    assert first.headers["Cache-Control"] == "no-store"
    for tag in re.findall(r"<(?:script|link rel=.stylesheet.|style)[^>]*>", first.text):
        assert f'nonce="{nonce}"' in tag
    assert re.findall(r"<script[^>]*>([^<]+)</script>", first.text) == []


async def test_every_file_that_the_page_names_is_served_here_and_may_be_kept(http: Http) -> None:
    anonymous = http.of(None)
    page = await anonymous.get("/docs")
    named = NAMED.findall(page.text)
    assert not [address for address in named if ":" in address or address.startswith("/")], "relative addresses only"
    for address in named:
        answer = await anonymous.get(f"/{address}")
        assert answer.status_code == 200, address
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kept = [address for address in named if address.startswith("docs/assets/")]
    assert len(kept) == len(explorer.assets()) == 5
    for address in kept:
        answer = await anonymous.get(f"/{address}", headers={"Accept-Encoding": "identity"})
        kind = {"css": "text/css", "js": "text/javascript", "png": "image/png"}[address.rpartition(".")[2]]
        assert answer.headers["Content-Type"].partition(";")[0] == kind
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Content-Encoding" not in answer.headers
        etag = answer.headers["ETag"]
        again = await anonymous.get(f"/{address}", headers={"If-None-Match": etag, "Accept-Encoding": "identity"})
        assert (again.status_code, again.content) == (304, b"")
    assert (await anonymous.get("/docs/assets/swagger-ui.css")).status_code == 404
    assert (await anonymous.get("/docs/assets/..%2Fexplorer.py")).status_code == 404
    document = (await anonymous.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"bearer", "adminToken", "basic"}


async def test_large_files_travel_packed_where_the_caller_reads_gzip(http: Http) -> None:
    bundle = explorer.assets()["swagger-ui-bundle.js"]
    address = f"{explorer.FOLDER}/{explorer.address_of('swagger-ui-bundle.js')}"
    anonymous = http.of(None)
    tags = set()
    for accepted, packed in (("gzip, br", True), ("gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)):
        async with anonymous.stream("GET", address, headers={"Accept-Encoding": accepted}) as answer:
            body = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers.get("Content-Encoding") == ("gzip" if packed else None), accepted
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert (gzip.decompress(body) if packed else body) == bundle.body
        tags.add(answer.headers["ETag"])
    assert len(tags) == 2
    assert bundle.packed is not None
    assert len(bundle.packed) < len(bundle.body) / 3


async def test_plain_pages_may_use_only_their_own_style(http: Http) -> None:
    for page, holds in (("/reference", 'id="roles"'), ("/runbooks", '<h3 id="headgateslow">')):
        answer = await http.of(None).get(page)
        assert holds in answer.text
        policy = policy_of(answer)
        assert policy["default-src"] == ["'none'"]
        assert "script-src" not in policy
        assert [source[:8] for source in policy["style-src"]] == ["'sha256-"]
        assert "style=" not in answer.text
        etag = answer.headers["ETag"]
        assert (await http.of(None).get(page, headers={"If-None-Match": etag})).status_code == 304


async def test_strangers_have_a_limit_on_pages_too(stack: Stack) -> None:
    edge = await Http(stack).open(anonymous_requests_per_minute=3)
    try:
        answers = [await edge.of(None).get("/docs") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        asset = next(path for path in PUBLIC if path.startswith(explorer.FOLDER))
        assert (await edge.of(None).get(asset.format(name="x"))).status_code == 429
    finally:
        await edge.close()


def test_a_missing_package_is_found_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "PACKAGE", "not_installed_here")
    explorer.assets.cache_clear()
    try:
        with pytest.raises(AssetsMissing, match="not-installed-here is missing; install the lock again"):
            explorer.assets()
    finally:
        explorer.assets.cache_clear()
