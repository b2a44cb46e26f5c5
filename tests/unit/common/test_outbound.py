"""The way out: what lies behind us is refused however it is spelt, when it is saved and when it is called."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from libs.common.outbound import MAX_HEAD_BYTES, Outbound, OutboundError, Refused, Unreachable

LOOPBACK = ("127.0.0.0/8",)
HOSTILE = [
    "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
    "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/",
    "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://0.0.0.0/", "http://[::]/", "http://10.0.0.8/",
    "http://192.168.1.1/", "http://172.16.3.4/", "http://100.64.0.1/", "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://224.0.0.1/", "http://255.255.255.255/",
    "http://user:pass@127.0.0.1/", "http://example.com@127.0.0.1/", "http://user@example.com/",
    "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "http://", "http:///x", "//example.com/",
    "http://exa mple.com/", "http://example.com\r\nHost: x/", "http://example.com:99999/", "http://" + "a" * 3000,
    "http://[::1%25eth0]/", "http://%31%32%37.0.0.1/",
]  # fmt: skip


def resolves(*answers: tuple[str, ...]) -> Callable[..., Any]:
    """A resolver that gives these addresses, one set for each question, the last one for all further ones."""
    waiting = list(answers)

    def lookup(host: str, port: int, *_: object) -> list[Any]:
        if host.replace(".", "").replace(":", "").isdigit():
            return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST))
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "",
                 (one, port, 0, 0) if ":" in one else (one, port)) for one in found]  # fmt: skip

    return lookup


@asynccontextmanager
async def outbound(**options: Any) -> AsyncIterator[Outbound]:
    made = Outbound(**options)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def sink(answer: bytes, *, hang: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that notes what it is asked and answers with these bytes."""
    asked: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head + await reader.read(100))
        if hang:
            await ended.wait()
        writer.write(answer)
        with suppress(ConnectionError):  # who reads only the head goes before the end
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        ended.set()
        server.close()


@pytest.mark.parametrize("url", HOSTILE)
async def test_what_lies_behind_us_is_refused_however_it_is_spelt(url: str) -> None:
    async with outbound() as out:
        for ask in (out.check(url), out.post(url, {}, b"")):
            with pytest.raises(OutboundError) as raised:
                await ask
            assert raised.value.sentence.endswith(".")
            assert isinstance(raised.value, Refused), raised.value.sentence


async def test_a_name_that_was_public_when_it_was_saved_is_refused_when_it_is_private() -> None:
    async with outbound(resolver=resolves(("93.184.216.34",), ("127.0.0.1",))) as out:
        await out.check("http://rebinding.example/hook")
        with pytest.raises(Refused):
            await out.post("http://rebinding.example/hook", {}, b"{}")


async def test_a_name_with_one_private_address_is_refused_as_a_whole() -> None:
    async with outbound(resolver=resolves(("93.184.216.34", "10.0.0.1"))) as out:
        with pytest.raises(Refused):
            await out.check("https://mixed.example/")


async def test_the_connection_goes_to_the_address_that_was_checked_under_the_name() -> None:
    async with sink(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nX-Seen: yes\r\n\r\nok") as (place, asked):
        port = place.partition(":")[2]
        async with outbound(allowed_networks=LOOPBACK, resolver=resolves(("127.0.0.1",))) as out:
            answer = await out.post(f"http://hooks.example:{port}/in?x=1", {"x-one": "1"}, b"hello")
    assert (answer.status, answer.head, answer.headers["x-seen"]) == (202, b"ok", "yes")
    assert answer.took_ms > 0
    assert asked[0].startswith(b"POST /in?x=1 HTTP/1.1\r\n")
    assert f"Host: hooks.example:{port}".encode() in asked[0]
    assert b"x-one: 1" in asked[0]
    assert asked[0].endswith(b"hello")


async def test_ports_of_strangers_are_few_and_our_own_networks_have_all() -> None:
    async with outbound(resolver=resolves(("93.184.216.34",))) as out:
        await out.check("https://hooks.example/")
        with pytest.raises(Refused, match="Port 6379 is not called; use 80 and 443"):
            await out.check("http://hooks.example:6379/")
    async with outbound(allowed_networks=LOOPBACK) as out:
        await out.check("http://127.0.0.1:6379/")
        with pytest.raises(Refused):
            await out.check("http://10.0.0.1:80/")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with sink(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (inner, reached):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://{inner}/\r\ncontent-length: 0\r\n\r\n".encode()
        async with sink(moved) as (place, _), outbound(allowed_networks=LOOPBACK) as out:
            answer = await out.post(f"http://{place}/", {}, b"x")
    assert (answer.status, reached) == (307, [])


async def test_of_a_long_answer_only_the_head_is_read() -> None:
    long = b"HTTP/1.1 500 Oh\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 10_000_000
    async with sink(long) as (place, _), outbound(allowed_networks=LOOPBACK) as out:
        answer = await out.post(f"http://{place}/", {}, b"x")
    assert (answer.status, len(answer.head)) == (500, MAX_HEAD_BYTES)


async def test_who_hangs_refuses_or_talks_nonsense_is_unreachable() -> None:
    async with sink(b"", hang=True) as (place, _), outbound(allowed_networks=LOOPBACK, total_s=0.3) as out:
        with pytest.raises(Unreachable, match=r"within 0\.3 seconds"):
            await out.post(f"http://{place}/", {}, b"x")
    async with sink(b"SSH-2.0-nonsense\r\n\r\n") as (place, _), outbound(allowed_networks=LOOPBACK) as out:
        with pytest.raises(Unreachable):
            await out.post(f"http://{place}/", {}, b"x")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with outbound(allowed_networks=LOOPBACK) as out:
        with pytest.raises(Unreachable, match="connection failed"):
            await out.post(f"http://127.0.0.1:{port}/", {}, b"x")


async def test_a_lookup_that_hangs_keeps_nobody_else_waiting_for_ever() -> None:
    gone = threading.Event()

    def hang(*_: object) -> Any:
        gone.wait(5)
        raise socket.gaierror(-2, "no such name")

    async with outbound(resolver=hang, connect_s=0.1) as out:
        with pytest.raises(Unreachable, match="not found within"):
            await out.check("https://slow.example/")
        gone.set()


async def test_a_name_that_nobody_knows_is_said() -> None:
    def unknown(*_: object) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    async with outbound(resolver=unknown) as out:
        with pytest.raises(Unreachable, match=r"nowhere\.example is not known"):
            await out.check("https://nowhere.example/secret-path")


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with sink(ok) as (place, asked), outbound(allowed_networks=LOOPBACK) as out:
        assert (await out.post(f"http://{place}/", {}, b"x")).status == 200
    assert len(asked) == 1


async def test_a_refusal_shows_nothing_of_the_path() -> None:
    async with outbound() as out:
        with pytest.raises(Refused) as raised:
            await out.check("http://127.0.0.1/services/T000/SECRET")
    assert "SECRET" not in raised.value.sentence
