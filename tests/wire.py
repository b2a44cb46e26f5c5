"""Wires to PostgreSQL and NATS that break at a chosen message: before it arrives, or when it took effect and before its
answer is there. What the process at the other end sees is a real connection that is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from abc import ABC, abstractmethod
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit, urlunsplit

ENDS = ("BEGIN", "COMMIT;", "ROLLBACK;")  # what the statements before belong to is over


@dataclass
class Cut:
    """At the first message that begins with ``at``; of SQL only behind ``after``, in the same transaction."""

    at: str
    persisted: bool
    after: str = ""
    made: asyncio.Event = field(default_factory=asyncio.Event)


class Wire(ABC):
    """Hands connections on to a server; `harm` says what breaks the next one."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._cut: Cut | None = None
        self._server: asyncio.Server | None = None
        self._open: set[Writer] = set()

    async def open(self) -> Self:
        """Listen on a free port of this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1")
        return self

    def url(self, of: str) -> str:
        """The same address by this wire: another user of the same server."""
        assert self._server is not None
        parts = urlsplit(of)
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))

    async def close(self) -> None:
        """End it with all its connections."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    def harm(self, cut: Cut) -> None:
        """Break a connection, once."""
        self._cut = cut

    def _take(self, text: str, seen: list[str]) -> Cut | None:
        """The harm, if it is this message's turn."""
        cut = self._cut
        if cut is None or not text.startswith(cut.at) or (cut.after and cut.after not in seen):
            return None
        self._cut = None
        return cut

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        host, port = self._parts.hostname, self._parts.port
        there, back = await asyncio.open_connection(host, port)
        self._open |= {writer, back}
        line = self._line(writer, back)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(line.forth(reader))
                group.create_task(line.back(there))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, back):
                self._open.discard(one)
                one.transport.abort()

    @abstractmethod
    def _line(self, client: Writer, server: Writer) -> Line: ...


class Line(ABC):
    """One connection through a wire."""

    def __init__(self, take: Callable[[str, list[str]], Cut | None], client: Writer, server: Writer) -> None:
        self._take, self._client, self._server = take, client, server
        self._seen: list[str] = []
        self._awaited: Cut | None = None  # it took effect when the answer comes

    @abstractmethod
    async def forth(self, reader: Reader) -> None:
        """From the client to the server."""

    @abstractmethod
    async def back(self, reader: Reader) -> None:
        """From the server to the client."""

    def _meet(self, text: str) -> Cut | None:
        """What harm this message meets, if any. Raises `ConnectionError` where it never arrives."""
        cut = self._take(text, self._seen)
        if cut is None:
            return None
        if not cut.persisted:
            self._break(cut)
        self._awaited = cut
        return cut

    def _break(self, cut: Cut) -> None:
        cut.made.set()
        raise ConnectionResetError("cut")

    @staticmethod
    async def _send(writer: Writer, data: bytes) -> None:
        writer.write(data)
        await writer.drain()


class PostgresLine(Line):
    """Messages of the protocol 3.0: which statement runs is known by its text, also if it was prepared before."""

    async def forth(self, reader: Reader) -> None:
        """A statement is met where it is run, not where it is prepared."""
        size = await reader.readexactly(4)
        await self._send(self._server, size + await reader.readexactly(struct.unpack("!I", size)[0] - 4))
        prepared: dict[bytes, str] = {}
        while True:
            kind, size = await reader.readexactly(1), await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
            if kind == b"P":
                name, text, *_ = body.split(b"\0")
                prepared[name] = text.decode()
            elif kind == b"Q":
                self._run(body.rstrip(b"\0").decode())
            elif kind == b"B":
                self._run(prepared[body.split(b"\0")[1]])
            await self._send(self._server, kind + size + body)

    def _run(self, text: str) -> None:
        self._meet(text)
        if text.startswith(ENDS):
            self._seen.clear()
        self._seen.append(text)

    async def back(self, reader: Reader) -> None:
        """The answer of what was to take effect and look lost is kept back."""
        while True:
            kind, size = await reader.readexactly(1), await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
            if kind == b"C" and self._awaited is not None:
                self._break(self._awaited)
            await self._send(self._client, kind + size + body)


class NatsLine(Line):
    """What is published, by its subject; the answer is the message to the reply's subject, else the next PONG."""

    _answer = b""

    async def forth(self, reader: Reader) -> None:
        """A message is met when it is whole."""
        while line := await reader.readline():
            op, *words = line.split()
            if op.upper() not in (b"PUB", b"HPUB"):
                await self._send(self._server, line)
                continue
            payload = await reader.readexactly(int(words[-1]) + 2)
            met = self._meet(words[0].decode())
            if met is not None:
                with_reply = len(words) == (3 if op.upper() == b"PUB" else 4)
                self._answer = words[1] if with_reply else b"PONG"
                payload += b"" if with_reply else b"PING\r\n"
            await self._send(self._server, line + payload)

    async def back(self, reader: Reader) -> None:
        """As of PostgreSQL."""
        while line := await reader.readline():
            words = line.split()
            if self._awaited is not None and self._answer in words[:2]:
                self._break(self._awaited)
            if words[0].upper() in (b"MSG", b"HMSG"):
                line += await reader.readexactly(int(words[-1]) + 2)
            await self._send(self._client, line)


class PostgresWire(Wire):
    """A wire to PostgreSQL; the address must say ``sslmode=disable``."""

    def _line(self, client: Writer, server: Writer) -> Line:
        return PostgresLine(self._take, client, server)


class NatsWire(Wire):
    """A wire to NATS."""

    def _line(self, client: Writer, server: Writer) -> Line:
        return NatsLine(self._take, client, server)


@asynccontextmanager
async def wires(database_url: str, nats_url: str) -> AsyncIterator[tuple[PostgresWire, NatsWire]]:
    """Both, open."""
    postgres, nats = await PostgresWire(database_url).open(), await NatsWire(nats_url).open()
    try:
        yield postgres, nats
    finally:
        closing: list[Awaitable[None]] = [postgres.close(), nats.close()]
        for one in closing:
            with contextlib.suppress(OSError):
                await one
