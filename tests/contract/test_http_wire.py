"""Bytes that no client library sends, to the server as it ships: no 500, no hang, and nothing smuggled.

Cases after RFC 9112 (HTTP/1.1), sections 2.2, 3.2, 5.1, 5.2, 6.1, 6.3, 7.1 and 11.2.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import uvicorn

from deploy.local import LocalStack
from libs.common import http_server
from libs.common.http_server import MAX_HEAD_BYTES, MAX_HEADERS, server_config
from tests.local_traffic import client

pytestmark = pytest.mark.integration
ANSWER_WITHIN_S = 10.0  # twice the 5 s after which an idle connection is closed


class Wire:
    """Raw connections to the gateway of the local stack, as its owner."""

    def __init__(self, stack: LocalStack, http: httpx2.Client) -> None:
        self._port, self._http = stack.options.http_port, http
        self.host = f"127.0.0.1:{self._port}"
        self.token = stack.token
        self._count = 0

    def connect(self) -> socket.socket:
        """A fresh connection."""
        return socket.create_connection(("127.0.0.1", self._port), ANSWER_WITHIN_S)

    def say(self, data: bytes, *, end: bool = False) -> bytes:
        """Send bytes (with `end` also the end of sending) and return all that comes until the server closes."""
        with self.connect() as wire:
            with contextlib.suppress(OSError):  # refused before all was sent
                wire.sendall(data)
                if end:
                    wire.shutdown(socket.SHUT_WR)
            return _until_end(wire)

    def site(self) -> str:
        """A name that no site has yet."""
        self._count += 1
        return f"wire-{time.monotonic_ns()}-{self._count}"

    def head(self, *lines: str, target: str = "GET /api/me", host: str | None = "") -> bytes:
        """A request's head with the owner's token."""
        hosts = [] if host is None else [f"Host: {host or self.host}"]
        rows = [f"{target} HTTP/1.1", *hosts, f"Authorization: Bearer {self.token}", *lines]
        return "\r\n".join(rows).encode("latin-1") + b"\r\n\r\n"

    def create(self, site: str, *lines: str, close: bool = True) -> bytes:
        """A whole request that would create a site, the connection's last one unless `close` is false."""
        body = b'{"site":"%s","title":"x"}' % site.encode()
        named = (
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *lines,
            *(["Connection: close"] * close),
        )
        return self.head(*named, target="POST /api/sites") + body

    def exists(self, site: str) -> bool:
        """Whether the site was created."""
        answer = self._http.get("/api/sites")
        assert answer.status_code == 200, answer.text
        return f'"{site}"' in answer.text


def _until_end(wire: socket.socket) -> bytes:
    found = bytearray()
    try:
        while part := wire.recv(65536):
            found += part
    except TimeoutError as error:
        raise AssertionError(f"no end within {ANSWER_WITHIN_S} s after {bytes(found)!r}") from error
    except ConnectionResetError:
        pass
    return bytes(found)


def statuses(answer: bytes) -> list[int]:
    """The status codes of all answers in a row."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture(scope="module")
def wire(local_stack: LocalStack) -> Iterator[Wire]:
    """The gateway as it ships."""
    with client(local_stack) as http:
        yield Wire(local_stack, http)


def test_the_plain_case_works(wire: Wire) -> None:
    site = wire.site()
    assert statuses(wire.say(wire.create(site))) == [201]
    assert wire.exists(site)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 400"),
        ("Content-Length: 4", "Content-Length: 4"),
        ("Content-Length: 4, 4",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:\tchunked\x0b",),
        ("Content-Length: -1",),
        ("Content-Length: +4",),
        ("Content-Length: 0x4",),
        ("Content-Length: 4e0",),
        ("Content-Length: ",),
        ("Content-Length: 99999999999999999999999999",),
        ("Content-Length: 18446744073709551616",),
        ("X-Folded: a", " Content-Length: 4"),
        ("X-Folded: a", "\tTransfer-Encoding: chunked"),
        ("X-Nul: a\x00b",),
        ("X Space: a",),
        (": nameless",),
        ("X-Cr: a\rContent-Length: 4",),
        ("X-Lf: a\nTransfer-Encoding: chunked",),
    ],
    ids=repr,
)
def test_an_ambiguous_head_is_refused_and_hides_no_second_request(wire: Wire, lines: tuple[str, ...]) -> None:
    site = wire.site()
    first = wire.head(*lines, "Content-Type: application/json", target="POST /api/ops/governance/gate/run")
    answer = wire.say(first + b"0\r\n\r\n" + wire.create(site))
    assert statuses(answer) == [400], answer
    assert b"connection: close" in answer.lower()
    assert not wire.exists(site)


@pytest.mark.parametrize("host", ["two", "two equal", "none"])
def test_a_request_has_one_host(wire: Wire, host: str) -> None:
    site = wire.site()
    second = {"two": ("Host: evil.example",), "two equal": (f"Host: {wire.host}",), "none": ()}[host]
    answer = wire.say(wire.head(*second, host=None if host == "none" else "") + wire.create(site))
    assert statuses(answer) == [400], answer
    assert b"one Host header" in answer
    assert not wire.exists(site)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n"], ids=repr)
def test_line_ends_other_than_crlf_are_refused(wire: Wire, end: bytes) -> None:
    site = wire.site()
    answer = wire.say(wire.create(site).replace(b"\r\n", end))
    assert statuses(answer) == [400], answer
    assert not wire.exists(site)


def test_a_bare_lf_in_one_header_is_refused(wire: Wire) -> None:
    site = wire.site()
    answer = wire.say(wire.create(site).replace(b"json\r\n", b"json\n"))
    assert statuses(answer) == [400], answer
    assert not wire.exists(site)


@pytest.mark.parametrize(
    ("lines", "target"),
    [
        ((f"X-Long: {'a' * MAX_HEAD_BYTES}",), "GET /api/me"),
        (tuple(f"X-{number}: a" for number in range(MAX_HEADERS)), "GET /api/me"),
        ((), f"GET /api/me?{'a' * MAX_HEAD_BYTES}"),
        ((f"X-{'a' * MAX_HEAD_BYTES}: a",), "GET /api/me"),
        ((f"X-Longer: {'a' * 4_000_000}",), "GET /api/me"),
    ],
    ids=["a long value", "many", "a long target", "a long name", "4 MB"],
)
def test_a_head_that_is_too_large_is_refused(wire: Wire, lines: tuple[str, ...], target: str) -> None:
    # A head that is refused while it still arrives may lose its answer to a reset; it never gets another one.
    assert statuses(wire.say(wire.head(*lines, target=target))) in ([431], [])


def test_a_head_without_an_end_is_cut(wire: Wire) -> None:
    with wire.connect() as connection:
        with contextlib.suppress(OSError):  # cut
            connection.sendall(b"GET /api/me HTTP/1.1\r\nX-A: ")
            for _ in range(200):
                connection.sendall(b"a" * 10_000)
        assert statuses(_until_end(connection)) in ([431], [])


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}XX0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"2;\n\r\n{}\r\n0\r\n\r\n",
     b"ffffffffffffffff0\r\n{}", b"2\n{}\n0\n\n"],
    ids=repr,
)  # fmt: skip
def test_a_broken_chunk_executes_nothing(wire: Wire, body: bytes) -> None:
    site = wire.site()
    head = wire.head("Transfer-Encoding: chunked", "Content-Type: application/json", target="POST /api/sites")
    answer = wire.say(head + body + wire.create(site))
    assert statuses(answer) in ([], [400]), answer
    assert not wire.exists(site)


def test_chunks_with_garbage_after_the_last_one_execute_the_first_request_alone(wire: Wire) -> None:
    first, second = wire.site(), wire.site()
    body = b'{"site":"%s","title":"x"}' % first.encode()
    head = wire.head("Transfer-Encoding: chunked", "Content-Type: application/json", target="POST /api/sites")
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = wire.say(head + chunked + b"garbage \x00\r\n\r\n" + wire.create(second))
    assert statuses(answer) == [201], answer
    assert wire.exists(first)
    assert not wire.exists(second)


def test_half_a_body_executes_nothing(wire: Wire) -> None:
    site = wire.site()
    assert statuses(wire.say(wire.create(site)[:-1], end=True)) in ([], [400])
    assert not wire.exists(site)


def test_a_body_larger_than_declared_is_read_as_another_request_and_refused(wire: Wire) -> None:
    site = wire.site()
    answer = wire.say(wire.create(site, close=False) + b'{"more":1}')
    assert statuses(answer)[0] == 201
    assert set(statuses(answer)[1:]) <= {400}


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    site = wire.site()
    answer = wire.say(
        wire.create(site, close=False)
        + wire.head(target="GET /healthz")
        + wire.head(target="GET /nowhere")
        + wire.head("Connection: close", target="GET /api/me")
    )
    assert statuses(answer) == [201, 200, 404, 200], answer
    assert wire.exists(site)


def test_nothing_after_connection_close_is_executed(wire: Wire) -> None:
    site = wire.site()
    answer = wire.say(wire.head("Connection: close") + wire.create(site))
    assert statuses(answer) == [200], answer
    assert not wire.exists(site)


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0"])
def test_an_upgrade_is_not_taken(wire: Wire, protocol: str) -> None:
    """Without a 101 the connection goes on as HTTP/1.1 on both sides (RFC 9110, section 7.8): nothing is hidden."""
    lines = ("Connection: Upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13")
    answer = wire.say(wire.head(*lines) + wire.create(wire.site()))
    assert statuses(answer) == [200, 201], answer


def test_an_offered_upgrade_is_ignored_and_the_body_read(wire: Wire) -> None:
    """Java's HttpClient offers h2c with its first request, whatever that is."""
    site = wire.site()
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    answer = wire.say(wire.create(site, *offer, close=False) + wire.head("Connection: close"))
    assert statuses(answer) == [201, 200], "the connection goes on as it was"
    assert wire.exists(site)


@pytest.mark.parametrize(
    "line",
    [b"GET /api/me HTTP/2.0", b"GET /api/me HTTP/0.9", b"GET /api/me", b"GET  /api/me HTTP/1.1", b"PRI * HTTP/2.0",
     b"G\x00T /api/me HTTP/1.1", b"\x16\x03\x01\x02\x00\x01", b"GET http://evil.example/api/me HTTP/1.1",
     b"GET /api/me#x HTTP/1.1", b"GET \xff HTTP/1.1", b"GET /%00 HTTP/1.1", b"GET /%ff%fe HTTP/1.1",
     b"GET //evil.example/%2e%2e/api/me HTTP/1.1", b"CONNECT evil.example:443 HTTP/1.1", b"OPTIONS * HTTP/1.1",
     b"TRACE /api/me HTTP/1.1", b"BREW /api/me HTTP/1.1"],
    ids=repr,
)  # fmt: skip
def test_odd_request_lines_are_answered_or_cut(wire: Wire, line: bytes) -> None:
    rest = f"\r\nHost: {wire.host}\r\nAuthorization: Bearer {wire.token}\r\nConnection: close\r\n\r\n".encode()
    answer = wire.say(line + rest)
    assert all(status < 500 for status in statuses(answer)), answer


async def test_a_request_that_does_not_arrive_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "ARRIVES_WITHIN_S", 0.3)
    bodies: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        bodies.append(message)
        if message["type"] == "http.request":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0, lifespan=False))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    address = listening.getsockname()

    async def say(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), ANSWER_WITHIN_S)
        writer.close()
        return answer

    assert await say(b"") == b""
    assert await say(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow") == b""
    assert await say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhal") == b""
    assert [body["type"] for body in bodies] == ["http.disconnect"]
    assert b"204" in await say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    server.should_exit = True
    await serving
