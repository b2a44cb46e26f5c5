"""The live stream: it goes on where it broke, and ends when there is no use."""

from __future__ import annotations

import itertools
import socket

import pytest

from libs.client.errors import ApiError, BadAnswer, Unreachable
from libs.client.events import GIVE_UP_AFTER, Events
from libs.client.http import Client
from tests.unit.client.gateway import FakeGateway, Says, refusal


def stream(*events: tuple[str, str, str]) -> Says:
    lines = ["retry: 10", ""]
    for position, name, data in events:
        lines += [f"id: {position}", f"event: {name}", f"data: {data}", ""]
    return Says("\r\n".join([*lines, ""]).encode(), 200, {"Content-Type": "text/event-stream; charset=utf-8"})


def test_a_break_is_taken_up_after_the_last_event(gateway: FakeGateway, client: Client) -> None:
    gateway.on(
        "GET /api/events",
        stream(("9-1", "a", "1"), ("9-2", "a", "2")),
        refusal(503, "Busy."),
        stream(("9-3", "a", "3")),
    )
    events = Events(client, site="plant-1", types=["x.y.z", "x.y.w"], after=None)
    assert [event.data for event in itertools.islice(events, 3)] == ["1", "2", "3"]
    first, _, third = gateway.asked[:3]
    assert first.query == {"type": ["x.y.z", "x.y.w"], "site": ["plant-1"]}
    assert "last-event-id" not in first.headers
    assert third.headers["last-event-id"] == "9-2"


def test_a_position_may_be_given(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/events", stream(("9-8", "a", "1")))
    events = Events(client, site=None, types=[], after="9-7")
    assert next(iter(events)).id == "9-8"
    assert gateway.asked[0].headers["last-event-id"] == "9-7"


def test_a_refusal_ends_it(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/events", stream(("9-1", "a", "1")), refusal(401, "The token is revoked."))
    with pytest.raises(ApiError, match="revoked"):
        list(Events(client, site=None, types=[], after=None))


def test_what_is_no_stream_ends_it(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/events", Says({}))
    with pytest.raises(BadAnswer, match="no event stream"):
        list(Events(client, site=None, types=[], after=None))


def test_a_gateway_that_stays_away_ends_it(gateway: FakeGateway, client: Client) -> None:
    gateway.on("GET /api/events", stream(("9-1", "a", "1")), refusal(503, "Down."))
    with pytest.raises(ApiError, match="Down"):
        list(Events(client, site=None, types=[], after=None))
    assert len(gateway.asked) == GIVE_UP_AFTER


def test_nobody_there_says_so_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}", "hg_secret", sleep=lambda _: None)
    with client, pytest.raises(Unreachable, match="Nothing listens"):
        list(Events(client, site=None, types=[], after=None))
