"""The HTTP server of every process: uvicorn on httptools, with the bounds that httptools itself does not have.

Crash here means: one connection is lost. A request that more than one reading is possible of (RFC 9112, sections 3.2,
5.1, 6.3) is refused with 400 and its connection closed, before anything is executed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from libs.common.problems import PROBLEM_JSON, problem
from libs.common.security_headers import secured

MAX_HEAD_BYTES = 64 * 1024  # request line and headers
MAX_HEADERS = 100
# A whole request, and again for every 4 MiB of it: a reader that waits for ever costs memory and a connection, and a
# large report over a slow line (70 kB/s) still arrives.
ARRIVES_WITHIN_S = 60.0
ARRIVING_BYTES = 4 * 1024 * 1024
# Closing while the client still sends makes the kernel reset the connection, and the reset may overtake the answer. So
# the rest is read and thrown away first, as nginx's lingering close does, within these bounds.
LINGER_BYTES = 128 * 1024 * 1024
LINGER_S = 30.0
LINGER_QUIET_S = 5.0
MAX_LINGERING = 64  # of one process; more are closed as they are
_NAMES = {
    400: ("bad-request", "The request can't be understood"),
    431: ("head-too-large", "The head of the request is too large"),
}


class HeadRefused(ValueError):
    """The head of a request is refused; the message is the answer's text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def body(self) -> bytes:
        """The problem document. It has no trace id: what can't be read has no trace."""
        return problem(self.status, *_NAMES[self.status], str(self))


class _Unhurried:
    """A connection's transport as a request sees it: `close` first lets the client finish sending."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.finish()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Refuses heads that are too large or ambiguous, and requests that do not arrive in time."""

    lingering: ClassVar[set[BoundedProtocol]] = set()

    _refusal: HeadRefused | None = None
    _late: asyncio.TimerHandle | None = None
    _quiet: asyncio.TimerHandle | None = None
    _unread_bytes = 0  # of a body whose answer is already given
    _head_bytes = 0
    _body_bytes = 0  # since the clock last began anew
    _in_head = True
    _between = True  # two messages: what comes next begins one
    _begun = 0  # messages
    _deaf = False  # what comes after bytes that can't be read has no meaning

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing ends like a request that does not arrive."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will arrive."""
        self._arrived()
        self._hear()
        self.lingering.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this connection was refused already."""
        if self in self.lingering:
            self._throw_away(len(data))
            return
        if self._deaf or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        begun = self._begun + self._between
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("The request is not well-formed HTTP/1.1.")
        except httptools.HttpParserUpgrade as offered:
            self._ignore_upgrade(data[offered.args[0] :])
        # Only bytes that are all of this head count. One that begins behind the rest of a body, or behind another
        # request, counts from the next piece on: that rest may be long, and a client that did no wrong would get a 431.
        if self._in_head and self._begun <= begun and not self._deaf:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refusal = _head_too_large()
                self.send_400_response("")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol as if it did not (RFC 9110, section 7.8).

        The parser stops after such a head and would leave the body unread; Java's HttpClient offers h2c with bodies.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def on_message_begin(self) -> None:
        """A request begins: the clock runs."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._between, self._begun = False, self._begun + 1
        if self._late is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Look at the whole head before the application sees it."""
        self._in_head, self._head_bytes = False, 0
        self._refusal = _refusal_of(self.url, self.headers, self.parser)
        if self._refusal:
            raise self._refusal  # the parser stops, and `data_received` answers
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self._body_bytes = self._unread_bytes = 0
            self.cycle.transport = cast("asyncio.Transport", _Unhurried(self))

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body; what comes after the answer is thrown away, within bounds."""
        if self.cycle.response_complete:
            self._throw_away(len(body))
            return
        self._body_bytes += len(body)
        if self._body_bytes >= ARRIVING_BYTES:
            self._body_bytes = 0
            self._arrived()
            self._wait()
        super().on_body(body)

    def on_response_complete(self) -> None:
        """The answer is written: on to the next request, unless this connection is only being emptied."""
        if self in self.lingering:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def finish(self) -> None:
        """Close after an answer. If the client still sends, end our side only, and read until it is done."""
        if self.transport.is_closing() or self in self.lingering:
            return
        if self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        if len(self.lingering) >= MAX_LINGERING:
            self.transport.close()
            return
        self.lingering.add(self)
        self._arrived()
        self._late = self.loop.call_later(LINGER_S, self.transport.close)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._throw_away(0)

    def _throw_away(self, size: int) -> None:
        self._unread_bytes += size
        if self._unread_bytes > LINGER_BYTES:
            self.transport.close()
        elif self in self.lingering:
            self._hear()
            self._quiet = self.loop.call_later(LINGER_QUIET_S, self.transport.close)

    def _hear(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def on_message_complete(self) -> None:
        """The request is here, unless it is one that `_ignore_upgrade` begins anew."""
        self._between = True
        if not self.parser.should_upgrade():
            self._arrived()
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what can't be read, with the status and text of our own refusal if it is one, and close."""
        if self.transport.is_closing():
            return
        self._deaf = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            # A second answer in the middle of one that is on its way would be read as part of it.
            if cycle.more_body:
                self.transport.close()  # the application hears of it, and does nothing with half a body
            else:
                cycle.keep_alive = False  # it is whole: it gets its answer, and then the connection ends
            return
        refusal = self._refusal or HeadRefused(400, msg)
        body = refusal.body()
        headers = secured(
            [
                (b"content-type", PROBLEM_JSON.encode()),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ],
            self.scheme or "http",
        )
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[refusal.status] + head + b"\r\n" + body)
        self._linger()

    def _wait(self) -> None:
        self._late = self.loop.call_later(ARRIVES_WITHIN_S, self.transport.close)

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _head_too_large() -> HeadRefused:
    return HeadRefused(431, f"The request line and headers may have {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers.")


def _refusal_of(
    url: bytes, headers: list[tuple[bytes, bytes]], parser: httptools.HttpRequestParser
) -> HeadRefused | None:
    version = parser.get_http_version()
    size = len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
    if size > MAX_HEAD_BYTES or len(headers) > MAX_HEADERS:
        return _head_too_large()
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return HeadRefused(400, "A request must have one Host header.")
    framing = [(name, value) for name, value in headers if name in (b"content-length", b"transfer-encoding")]
    if len(framing) > 1:
        return HeadRefused(400, "A request may say its length once, by Content-Length or by Transfer-Encoding.")
    if framing and framing[0][0] == b"transfer-encoding" and (version != "1.1" or framing[0][1].lower() != b"chunked"):
        return HeadRefused(400, "The only Transfer-Encoding is chunked, in HTTP/1.1.")
    if parser.get_method() == b"CONNECT":
        return HeadRefused(400, "This server is no proxy.")
    return None


def server_config(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    lifespan: bool,
    tls: tuple[Path, Path] | None = None,
    trusted_proxies: Sequence[str] = (),
) -> uvicorn.Config:
    """What every process serves with. ``lifespan``: the application has something to do at start and stop.

    ``tls``: certificate chain and key, in PEM. What ``trusted_proxies`` (networks) say of a client's address and scheme
    (``X-Forwarded-For``, ``X-Forwarded-Proto``) is believed, of nobody else.
    """
    options: dict[str, Any] = {"http": BoundedProtocol, "ws": "none", "lifespan": "on" if lifespan else "off"}
    if tls is not None:
        options |= {"ssl_certfile": tls[0], "ssl_keyfile": tls[1]}
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=10,
        **options,
    )
