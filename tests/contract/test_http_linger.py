"""Answers that come before the request has ended: clients that send everything before they read still get them."""

import asyncio
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from libs.common import http_server
from libs.common.http_server import BoundedProtocol, server_config

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
Address = tuple[str, int]
App = Callable[[Any, Any, Any], Awaitable[None]]
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


def refusing(*headers: tuple[bytes, bytes]) -> App:
    """An application that answers 413 without reading."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"content-length", b"9"), *headers]
        await send({"type": "http.response.start", "status": 413, "headers": fields})
        await send({"type": "http.response.body", "body": b"too large"})

    return app


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[Address]:
    """The server as it ships around an application."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0, lifespan=False))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        await task


def send_all_then_read(address: Address, size: int) -> tuple[int, bytes]:
    """What urllib gets, which reads only when all is sent."""

    def parts() -> Iterator[bytes]:
        for _ in range(size // MIB):
            yield b" " * MIB

    request = urllib.request.Request(
        f"http://{address[0]}:{address[1]}/", parts(), {"Content-Length": str(size)}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def until_closed(address: Address, head: bytes, *, more: bytes = b"", times: int = 0) -> tuple[bytes, float]:
    """Send, read until the server ends its side, go on sending; what came, and seconds until it took no more."""
    reader, writer = await asyncio.open_connection(*address)
    began = time.monotonic()
    writer.write(head)
    answer = await asyncio.wait_for(reader.read(), 10)
    try:
        for _ in range(times):
            writer.write(more)
            await writer.drain()
        while True:  # bounded by the server: a peer that has closed answers with a reset
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)
            assert time.monotonic() - began < 10
    except ConnectionError:
        return answer, time.monotonic() - began
    finally:
        writer.close()


async def test_a_client_that_sends_all_before_it_reads_gets_the_refusal() -> None:
    async with serving(refusing((b"connection", b"close"))) as address:
        assert await asyncio.to_thread(send_all_then_read, address, 90 * MIB) == (413, b"too large")


async def test_the_answer_comes_before_the_body_is_sent() -> None:
    async with serving(refusing((b"connection", b"close"))) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD % (90 * MIB))
        answer = await asyncio.wait_for(reader.read(), 2)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"too large")
        writer.close()


async def test_no_more_is_read_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_BYTES", MIB)
    async with serving(refusing((b"connection", b"close"))) as address:
        with pytest.raises(OSError):  # noqa: PT011  a reset or a broken pipe, as it happens
            await asyncio.to_thread(send_all_then_read, address, 90 * MIB)
        assert not BoundedProtocol.lingering


async def test_a_client_that_stops_sending_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_QUIET_S", 0.2)
    async with serving(refusing((b"connection", b"close"))) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD % MIB)
        assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"too large")
        async with asyncio.timeout(5):
            while BoundedProtocol.lingering:
                await asyncio.sleep(0.01)
        writer.close()


async def test_a_client_that_never_stops_sending_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_S", 0.5)
    async with serving(refusing((b"connection", b"close"))) as address:
        answer, seconds = await until_closed(address, HEAD % MIB)
    assert answer.endswith(b"too large")
    assert 0.4 < seconds < 5


async def test_so_many_linger_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_LINGERING", 1)
    async with serving(refusing((b"connection", b"close"))) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD % MIB)
        await asyncio.wait_for(reader.read(), 5)
        assert len(BoundedProtocol.lingering) == 1
        answer, seconds = await until_closed(address, HEAD % MIB)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert seconds < http_server.LINGER_QUIET_S
        assert len(BoundedProtocol.lingering) == 1
        writer.close()


async def test_a_connection_that_is_kept_takes_no_endless_body_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LINGER_BYTES", MIB)
    async with serving(refusing()) as address:
        with pytest.raises(OSError):  # noqa: PT011
            await asyncio.to_thread(send_all_then_read, address, 90 * MIB)


async def test_a_connection_is_kept_when_the_rest_of_a_refused_body_is_small() -> None:
    async with serving(refusing()) as address:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):
            writer.write(HEAD % MIB)
            answer = await asyncio.wait_for(reader.readuntil(b"too large"), 5)
            assert answer.startswith(b"HTTP/1.1 413 ")
            writer.write(b" " * MIB)
            await writer.drain()
        writer.close()


@pytest.mark.parametrize("behind", [b" " * 5000, b" " * 5000 + HEAD % 0 + HEAD % 0])
async def test_a_head_that_begins_behind_a_long_body_may_end_later(
    behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "MAX_HEAD_BYTES", 1000)
    head = HEAD % 0
    async with serving(refusing()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD % 5000)
        await asyncio.wait_for(reader.readuntil(b"too large"), 5)
        writer.write(behind + head[:20])  # one read of the server
        for _ in range(behind.count(b"HTTP/1.1")):
            await asyncio.wait_for(reader.readuntil(b"too large"), 5)
        await asyncio.sleep(0.05)
        writer.write(head[20:])
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert answer.startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_head_that_begins_behind_a_body_is_still_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_HEAD_BYTES", 1000)
    async with serving(refusing()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD % 1000)
        await asyncio.wait_for(reader.readuntil(b"too large"), 5)
        writer.write(b" " * 1000 + b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: ")
        for _ in range(2):
            await asyncio.sleep(0.05)
            writer.write(b"x" * 1000)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_a_head_that_is_refused_leaves_a_readable_answer() -> None:
    async with serving(refusing()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: %d\r\n\r\n" % MIB)
        writer.write(b" " * MIB)
        await writer.drain()
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_large_body_may_take_its_time_if_it_comes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "ARRIVES_WITHIN_S", 0.4)
    monkeypatch.setattr(http_server, "ARRIVING_BYTES", 1000)
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size = 0
        while (message := await receive())["type"] == "http.request":
            size += len(message["body"])
            if not message["more_body"]:
                break
        sizes.append(size)
        await refusing()(scope, receive, send)

    async with serving(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HEAD % 8000)
        for _ in range(8):
            writer.write(b" " * 1000)
            await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(reader.readuntil(b"too large"), 5)).startswith(b"HTTP/1.1 413 ")
        writer.close()
    assert sizes == [8000]
