"""Answers of every kind have the security headers: also those of the protocol's layer, which no application sees."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import pytest_asyncio

from libs.common.http_server import MAX_HEAD_BYTES
from tests.http_edge import Http
from tests.integration.test_headers import Echo, certified, checked
from tests.stack import Stack

JSON = {"Content-Type": "application/json"}
# Kind, status, method, path, and what the request has besides.
pytestmark = pytest.mark.whole

KINDS: tuple[tuple[str, int, str, str, dict[str, Any]], ...] = (
    ("found", 200, "GET", "/api/me", {}),
    ("head only", 200, "HEAD", "/api/me", {}),
    ("made", 201, "POST", "/api/sites", {"json": {"site": "made", "title": "made"}}),
    ("accepted", 202, "POST", "/api/sites", {"json": {"site": "x", "title": "x"}, "headers": {"Prefer": "wait=0"}}),
    ("not json", 400, "POST", "/api/sites", {"content": b"{", "headers": JSON}),
    ("no token", 401, "GET", "/api/me", {"headers": {"Authorization": ""}}),
    ("no path", 404, "GET", "/api/nothing", {}),
    ("no file", 404, "GET", "/docs/nothing.js", {}),
    ("wrong method", 405, "PATCH", "/api/me", {}),
    ("options", 405, "OPTIONS", "/api/me", {}),
    ("too large", 413, "POST", "/api/sites", {"content": b" " * 6_300_000, "headers": JSON}),
    ("no such kind", 415, "POST", "/api/sites", {"content": b"x", "headers": {"Content-Type": "text/x"}}),
    ("not valid", 422, "POST", "/api/sites", {"json": {"site": "NO", "title": "x"}}),
    ("page", 200, "GET", "/docs", {}),
    ("link", 404, "GET", "/a/nothing", {}),
    ("service is away", 503, "GET", "/api/audit/entries", {}),
    ("alive", 200, "GET", "/healthz", {}),
)


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


@pytest.mark.integration
async def test_answers_of_every_kind_have_them(http: Http) -> None:
    seen: dict[str, int] = {}
    for kind, _, method, path, options in KINDS:
        answer = await http.client.request(method, path, **options)
        checked(answer)
        seen[kind] = answer.status_code
    assert seen == {kind: status for kind, status, *_ in KINDS}
    fresh = await http.client.get("/api/me")
    unchanged = await http.client.get("/api/me", headers={"If-None-Match": fresh.headers["ETag"]})
    checked(unchanged)
    assert unchanged.status_code == 304


@pytest.mark.integration
async def test_so_have_streams_and_callers_who_are_too_many(stack: Stack) -> None:
    edge = await Http(stack).open(anonymous_requests_per_minute=1)
    try:
        async with edge.client.stream("GET", "/api/events") as events:
            checked(events)
            assert events.headers["content-type"].startswith("text/event-stream")
        found = [await edge.of(None).get("/api/me") for _ in range(2)]
        for answer in found:
            checked(answer)
        assert [answer.status_code for answer in found] == [401, 429]
    finally:
        await edge.close()


async def _said(port: int, data: bytes, tls: ssl.SSLContext | None) -> tuple[int, dict[str, str], bytes]:
    """The answer to these bytes: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    with contextlib.suppress(OSError):  # refused before all was sent
        writer.write(data)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        (400, b"nonsense\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(101)) + b"\r\n"),
        (431, b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ],
    ids=["ambiguous", "no http", "many headers", "long"],
)
async def test_what_no_application_sees_is_a_problem_document_too(
    secure: bool, status: int, data: bytes, tmp_path: Path
) -> None:
    files = certified(tmp_path, datetime.now(UTC) + timedelta(days=30)) if secure else None
    tls = ssl.create_default_context(cafile=str(files[0])) if files else None
    async with Echo(**({"tls": files} if files else {})) as port:
        found, headers, body = await _said(port, data, tls)
    assert found == status
    assert headers["content-type"] == "application/problem+json"
    assert orjson.loads(body)["status"] == status
    assert orjson.loads(body)["type"].startswith("urn:headgate:problem:")
    answer = httpx2.Response(
        status, headers=[*headers.items()], request=httpx2.Request("GET", "http://x/"), content=body
    )
    if secure:
        assert answer.headers.pop("strict-transport-security") == "max-age=31536000"
    checked(answer)
