"""Live events over HTTP: filters, scope, resuming, gaps, and readers that lose their token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.sites import SiteView, site_created
from libs.common.contracts.tracker.board import BoardSynced, board_synced
from libs.common.contracts.tracker.completion import board_completed
from services.gateway import sse
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.stack import Stack

pytestmark = pytest.mark.integration

SYNCED = BoardSynced(
    gate="operations", subject="site", gate_run_id=1, created_count=0, reopened_count=0, resolved_count=0,
    active_count=0,
)  # fmt: skip


class Frames:
    """Reads a stream frame by frame."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next frame that is no comment; `data` is parsed."""
        async with asyncio.timeout(10):
            frame: dict[str, Any] = {}
            async for line in self._lines:
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    frame[name] = orjson.loads(value) if name == "data" else value
                elif "data" in frame:
                    return frame
        raise EOFError

    async def ended(self) -> None:
        """Await the end of the stream."""
        async for _ in self._lines:
            pass


@asynccontextmanager
async def reading(client: httpx2.AsyncClient, **request: Any) -> AsyncIterator[Frames]:
    """An open stream; entered once it is connected."""
    async with client.stream("GET", "/api/events", **request) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Frames(answer)


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge without other services; tests publish events themselves."""
    edge = await Http(stack).open()
    await stack.idle("gateway")  # the first owner's events are on the stream
    yield edge
    await edge.close()


async def test_events_are_live_and_resume_where_they_stopped(http: Http) -> None:
    await http.stack.publish(board_synced, SYNCED)
    position = await _last_position(http)
    async with reading(http.client, headers={"Last-Event-ID": _before(position)}) as frames:
        first = await frames.next()
        assert (first["id"], first["event"]) == (position, "tracker.board.synced")
        assert first["data"]["data"]["gate"] == "operations"
        second_id = await http.stack.publish(board_synced, SYNCED)
        second = await frames.next()
        assert second["data"]["id"] == second_id
    third_id = await http.stack.publish(board_synced, SYNCED)
    async with reading(http.client, params={"last_event_id": second["id"]}) as frames:
        assert (await frames.next())["data"]["id"] == third_id
    async with asyncio.timeout(5):
        while http.edge.streams.count:
            await asyncio.sleep(0.02)


async def test_a_stream_shows_only_what_was_asked_for_and_may_be_seen(http: Http) -> None:
    for name in ("plant-a", "plant-b"):
        await http.site(name)
    await http.stack.idle("gateway")
    position = await _last_position(http)
    ann = await http.user("ann", "viewer", ["plant-a"])
    await http.stack.publish(board_synced, SYNCED, site="plant-b")
    await http.stack.publish(board_synced, SYNCED, site="global")
    view = SiteView(site="plant-a", title="x", created_at=http.stack.clock())
    await http.stack.publish(site_created, view, site="plant-a")  # identity: not for viewers
    await http.stack.publish(board_completed, SYNCED, site="plant-a")
    wanted = await http.stack.publish(board_synced, SYNCED, site="plant-a")
    resume = {"Last-Event-ID": position}
    async with reading(ann, headers=resume) as frames:
        assert (await frames.next())["event"] == "tracker.board.completed"
        assert (await frames.next())["data"]["id"] == wanted
    async with reading(ann, params={"site": "plant-a", "type": "tracker.board.synced"}, headers=resume) as frames:
        assert (await frames.next())["data"]["id"] == wanted
    async with reading(http.client, params={"type": "gateway.user.created"}, headers=resume) as frames:
        assert (await frames.next())["data"]["subject"] == "ann"
    assert (await ann.get("/api/events", params={"site": "plant-b"})).status_code == 403
    assert (await ann.get("/api/events", params={"type": "gateway.user.created"})).status_code == 403
    for odd in ({"type": "nope"}, {"type": ">"}, {"last_event_id": "x"}, {"site": "*"}, {"nope": "1"}):
        assert (await ann.get("/api/events", params=odd)).status_code == 422, odd


async def test_a_stream_of_two_sites_tells_of_each_what_its_reader_may_know_there(http: Http) -> None:
    for name in ("plant-a", "plant-b"):
        await http.site(name)
    ann = await http.user("ann", "manager", ["plant-a", "global"])
    ends_at = (http.stack.clock() + timedelta(hours=8)).isoformat()
    grant = {"username": "ann", "role": "viewer", "sites": ["plant-b"], "ends_at": ends_at, "reason": "looks in"}
    assert (await http.client.post("/api/grants", json=grant)).status_code == 201
    await http.stack.idle("gateway")

    async def holds() -> bool:
        return "plant-b" in (await ann.get("/api/me")).json()["sites"]

    await until("the grant", holds)
    resume = {"Last-Event-ID": await _last_position(http)}
    view = SiteView(site="plant-a", title="x", created_at=http.stack.clock())
    sites = ("plant-b", "global", "plant-a")
    kept = [await http.stack.publish(site_created, view, site=site) for site in sites]
    async with reading(ann, params={"site": ["plant-a", "global", "plant-a"]}, headers=resume) as frames:
        assert [(await frames.next())["data"]["id"] for _ in range(2)] == kept[1:]
    last = await http.stack.publish(board_synced, SYNCED, site="plant-b")
    async with reading(ann, params={"site": ["plant-b", "plant-a"]}, headers=resume) as frames:
        assert [(await frames.next())["data"]["id"] for _ in range(2)] == [kept[2], last], "a viewer hears no identity"
    async with reading(ann, headers=resume) as frames:
        assert [(await frames.next())["data"]["id"] for _ in range(3)] == [*kept[1:], last]
    only = {"site": ["plant-a", "global"], "type": "gateway.site.created"}
    async with reading(ann, params=only, headers=resume) as frames:
        assert (await frames.next())["data"]["id"] == kept[1]
    for odd, status in (({**only, "site": ["plant-a", "plant-b"]}, 403), ({"site": ["plant-a", "plant-c"]}, 403)):
        assert (await ann.get("/api/events", params=odd)).status_code == status, odd
    assert (await ann.get("/api/events", params={"site": ["plant-a"] * (sse.MAX_SITES + 1)})).status_code == 422


async def test_a_position_that_is_no_longer_held_is_a_gap(http: Http) -> None:
    for _ in range(3):
        await http.stack.publish(board_synced, SYNCED)
    position = await _last_position(http)
    born, _, last = position.partition("-")
    await http.stack.bus.js.purge_stream(http.stack.topology.events_stream, seq=int(last))
    async with reading(http.client, headers={"Last-Event-ID": f"{born}-1"}) as frames:
        gap = await frames.next()
        assert (gap["event"], gap["id"]) == ("gap", f"{born}-{int(last) - 1}")
        assert gap["data"]["lost_count_at_most"] == str(int(last) - 2)
        assert (await frames.next())["id"] == position
    async with reading(http.client, headers={"Last-Event-ID": "123-1"}) as frames:
        assert (await frames.next())["data"]["reason"] == "the stream was made anew"
        assert (await frames.next())["id"] == position


async def test_a_revoked_token_ends_its_stream(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sse.CHECK_TOKEN_EVERY_S + sse.FETCH_S < 5
    monkeypatch.setattr(sse, "FETCH_S", sse.FETCH_S / 5)
    monkeypatch.setattr(sse, "CHECK_TOKEN_EVERY_S", sse.CHECK_TOKEN_EVERY_S / 5)
    ann = await http.user("ann", "viewer")
    token_id = (await ann.get("/api/me")).json()["token_id"]
    async with reading(ann) as frames, asyncio.timeout(5):
        assert (await http.client.delete(f"/api/tokens/{token_id}")).status_code == 200
        assert (await frames.next())["event"] == "end"
        await frames.ended()


async def test_there_are_not_more_streams_than_allowed(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_STREAMS", 1)
    async with reading(http.client):
        answer = await http.client.get("/api/events")
        assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)


async def test_one_token_can_not_take_all_streams(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_STREAMS_PER_CALLER", 2)
    ann = await http.user("ann", "viewer")
    async with reading(ann), reading(ann):
        answer = await ann.get("/api/events")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
        assert "You have 2 event streams" in answer.json()["detail"]
        async with reading(http.client):
            assert http.edge.streams.count == 3
    async with asyncio.timeout(5):
        while http.edge.streams.count:
            await asyncio.sleep(0.02)
    assert not http.edge.streams.by_caller
    async with reading(ann):
        pass


async def test_a_stream_goes_on_when_its_consumer_is_lost(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "CHECK_CONSUMER_EVERY_S", 0.0)
    topology = http.stack.topology
    position = await _last_position(http)
    first_id = await http.stack.publish(board_synced, SYNCED)
    async with reading(http.client, headers={"Last-Event-ID": position}) as frames:
        assert (await frames.next())["data"]["id"] == first_id
        for info in await http.stack.bus.js.consumers_info(topology.events_stream):
            if info.config.durable_name is None:  # a restart of NATS forgets it like this
                await http.stack.bus.js.delete_consumer(topology.events_stream, info.name)
        second_id = await http.stack.publish(board_synced, SYNCED)
        assert (await frames.next())["data"]["id"] == second_id


async def _last_position(http: Http) -> str:
    info = await http.stack.bus.js.stream_info(http.stack.topology.events_stream)
    assert info.created is not None
    return f"{int(info.created.timestamp())}-{info.state.last_seq}"


def _before(position: str) -> str:
    born, _, sequence = position.partition("-")
    return f"{born}-{int(sequence) - 1}"
