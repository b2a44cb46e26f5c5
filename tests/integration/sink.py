"""A receiver of webhooks: a real HTTP server that does as a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def verify(self, secret: str) -> bool:
        """Whether the signature is one of this secret, as the receiver's library sees it."""
        try:
            Webhook(secret).verify(self.body, dict(self.headers))
        except Exception:
            return False
        return True

    def is_signed_with(self, secret: str) -> bool:
        """The same at the time that the message itself says: for clocks that tests have moved."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        made = Webhook(secret).sign(self.headers["webhook-id"], at, self.body.decode())
        return made == self.headers["webhook-signature"]


@dataclass
class Sink:
    """``says``: what is answered at a path, as a whole answer (``{path}`` is every other path); None hangs."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    says: dict[str, bytes | None] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    connections: set[asyncio.Task[object]] = field(default_factory=set)

    def url(self, path: str = "/hook") -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Got]:
        """What came to a path."""
        return [one for one in self.got if one.path == path]

    async def wait_for(self, path: str, count: int = 1, within_s: float = 15) -> list[Got]:
        """Await so many requests at a path."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept open between requests."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                path = first.split()[1]
                async with self.changed:
                    self.got.append(Got(path, headers, body))
                    self.changed.notify_all()
                answer = self.says.get(path, b"HTTP/1.1 204 No Content\r\n\r\n")
                if answer is None:
                    await asyncio.Event().wait()
                else:
                    writer.write(answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; ``_`` in a header's name stands for ``-``."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def receiver() -> AsyncIterator[Sink]:
    """A sink on a free port of this machine."""
    sink = Sink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=2**24)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        for task in sink.connections:
            task.cancel()
        await asyncio.gather(*sink.connections, return_exceptions=True)
