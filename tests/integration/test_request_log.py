"""The log has a line for each HTTP request, with what an operator looks for and nothing that is secret or personal."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.gateway.request_log import PROBES
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
FIELDS = {"timestamp", "level", "event", "service", "method", "route", "status", "ms", "actor", "site", "trace_id",
          "request_id"}  # fmt: skip
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET = "Tr0ub4dor-and-3"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


def test_each_field_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ops" / "MONITORING_REQUIREMENTS.md").read_text(encoding="utf-8")
    logs = page[page.index("## Logs") : page.index("## Traces")]
    assert set(re.findall(r"^\| `(\w+)` \|", logs, re.MULTILINE)) == FIELDS
    shown = re.search(r"```json\n(.*)\n```", logs)
    assert shown is not None
    assert set(json.loads(shown[1])) == FIELDS


def requests(lines: io.StringIO) -> list[dict[str, Any]]:
    """The lines about requests."""
    every = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in every if line["event"] == "request"]


async def test_a_line_says_what_was_asked_by_whom_and_how_it_ended(http: Http, lines: io.StringIO) -> None:
    asked = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    me = await http.client.get("/api/me", headers=asked)
    away = await http.client.get("/api/waivers", params={"site": "global"})  # governance does not run here
    assert (me.status_code, away.status_code) == (200, 503)
    first, second = requests(lines)
    assert set(first) == set(second) == FIELDS
    assert {name: first[name] for name in ("level", "method", "route", "status", "actor", "site", "trace_id")} == {
        "level": "info", "method": "GET", "route": "/api/me", "status": 200, "actor": me.json()["username"], "site": "",
        "trace_id": TRACE,
    }  # fmt: skip
    assert first["request_id"] == me.headers["X-Request-Id"]
    assert first["ms"] >= float(me.headers["X-Request-Duration-Ms"]) - 0.1
    assert (second["level"], second["route"], second["status"], second["site"]) == (
        "warning",
        "/api/waivers",
        503,
        "global",
    )
    assert second["trace_id"] == away.headers["traceparent"][3:35]


async def test_nothing_that_was_typed_is_in_a_line(http: Http, lines: io.StringIO) -> None:
    stranger = http.of(None)
    hostile = {"Authorization": f"Bearer {SECRET}", "Cookie": f"a={SECRET}", "User-Agent": SECRET}
    await stranger.get(f"/api/none/{SECRET}", params={"token": SECRET}, headers=hostile)
    await stranger.get(f"/api/users/{SECRET}", headers=hostile)
    await stranger.request("PROPFIND", "/api/me")
    await stranger.post("/api/sessions", json={"username": SECRET, "password": SECRET})
    await http.client.post("/api/tokens", json={"label": SECRET})
    await http.client.get(f"/api/users/{SECRET.lower()}", params={"site": SECRET})
    text = lines.getvalue()
    found = requests(lines)
    assert len(found) == 6
    assert {line["actor"] for line in found[:4]} == {"anonymous"}
    assert found[0]["route"] == "unmatched"
    assert all(line["method"] in {"GET", "POST", "OTHER"} for line in found)
    for word in ("PROPFIND", SECRET, SECRET.lower(), OWNER, "127.0.0.1", "address:"):
        assert word not in text


async def test_probes_are_no_lines_unless_they_are_told_no(http: Http, lines: io.StringIO) -> None:
    for path in sorted(PROBES):
        assert (await http.client.get(path)).status_code == 200
    assert requests(lines) == []


async def test_the_lines_can_be_switched_off(stack: Stack, lines: io.StringIO) -> None:
    http = await Http(stack).open(log_requests=False)
    try:
        assert (await http.client.get("/api/me")).status_code == 200
    finally:
        await http.close()
    assert requests(lines) == []
