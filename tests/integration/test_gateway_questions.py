"""Questions that the gateway answers itself: no hop over the bus, and nothing else is different."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common import queries, series
from libs.common.bus import Reply
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.gateway import sites
from libs.common.ids import uuid7
from libs.common.problems import TimedOut
from libs.common.service import QueryHandler
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


def counted(status: int) -> float:
    return float(series.QUERIES.labels("gateway", sites.list_sites.name, str(status))._value.get())


def answered_by(http: Http, monkeypatch: pytest.MonkeyPatch, handler: QueryHandler) -> None:
    """Let another function answer the list of sites."""
    subject = http.running.bus.topology.query_subject(sites.list_sites)
    monkeypatch.setitem(http.running.queries._handlers, subject, (sites.list_sites, handler))


async def test_own_questions_never_touch_the_bus(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> Reply:
        raise AssertionError("the bus was asked")

    monkeypatch.setattr(http.running.bus, "ask", never)
    before = counted(200)
    for path in ("/api/sites", "/api/me", "/api/users", "/api/tokens", "/api/dead-letters/gateway"):
        assert (await http.client.get(path)).status_code == 200, path
    assert counted(200) == before + 1


async def test_the_bus_gives_the_same_answer(http: Http) -> None:
    await http.site("plant-a")
    here = await http.client.get("/api/sites")
    query = sites.list_sites
    envelope = CloudEvent(id=str(uuid7()), source="/headgate/gateway", type=query.type, actor="owner")
    data = orjson.dumps({"params": {}, "sites": ["*"], "permissions": []})
    assert await http.running.bus.ask(query, envelope, data) == Reply(200, here.content)


async def test_a_fault_of_an_own_handler_is_a_500_without_details(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> list[Any]:
        raise ValueError("secret detail of a fault")

    before = counted(500)
    answered_by(http, monkeypatch, broken)
    answer = await http.client.get("/api/sites")
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
    assert "secret" not in answer.text
    assert answer.json()["trace_id"] == answer.headers["traceparent"][3:35]
    assert counted(500) == before + 1


async def test_an_own_question_without_a_database_is_a_503_with_advice(http: Http) -> None:
    assert (await http.client.get("/api/sites")).status_code == 200  # from now on the token is known for a while
    before = counted(503)
    await http.stack.idle("gateway")  # whoever is at work would die of a connection that is gone under it
    http.running.pool.terminate()
    answer = await http.client.get("/api/sites")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["detail"].startswith("The database can't be reached now")
    assert int(answer.headers["Retry-After"]) > 0
    assert counted(503) == before + 1


async def test_own_questions_are_bounded_and_end_in_time(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, release = 0, 0, asyncio.Event()

    async def slow(*_: Any) -> list[Any]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await release.wait()
        finally:
            at_once -= 1
        return []

    answered_by(http, monkeypatch, slow)
    query = sites.list_sites
    envelope = CloudEvent(id=str(uuid7()), source="/headgate/gateway", type=query.type)

    async def ask(timeout_s: float) -> int:
        return (await http.running.queries.ask(query, envelope, timeout_s=timeout_s)).status

    asking = [asyncio.create_task(ask(20)) for _ in range(queries.MAX_AT_ONCE + 10)]
    async with asyncio.timeout(10):
        while most < queries.MAX_AT_ONCE:
            await asyncio.sleep(0.01)
    with pytest.raises(TimedOut, match=r"did not answer within 0\.05 s"):
        await ask(0.05)
    assert most == queries.MAX_AT_ONCE
    release.set()
    assert await asyncio.gather(*asking) == [200] * len(asking)
    assert at_once == 0
    release.clear()
    with pytest.raises(TimedOut):
        await ask(0.05)
    assert at_once == 0, "the handler that took too long was stopped"
