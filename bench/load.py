"""Load over HTTP/1.1 that costs the client little: asyncio streams, kept-alive connections, no HTTP library."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from bench.figures import percentile
from bench.lab import BenchError, Space

PROCESSES = 2
CONNECTIONS = 16  # of each process
ROUND_S = 2.0


class Client:
    """One connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"

    @classmethod
    async def connect(cls, port: int, token: str) -> Client:
        """Connect to 127.0.0.1."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), token)

    async def request(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body of the answer, which must have a Content-Length."""
        form = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{form}\r\n"
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        at = answer.index(b"content-length:") + 15
        length = int(answer[at : answer.index(b"\r\n", at)])
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


@dataclass(frozen=True, slots=True)
class Load:
    """What a round brought: answers per second, and the median and 99th percentile of their latency in ms."""

    rate: float
    p50_ms: float
    p99_ms: float


async def listening(space: Space, port: int) -> None:
    """Wait until something answers on the port."""
    for _ in range(600):
        for worker in space.workers:
            worker.check()
        try:
            (await Client.connect(port, "")).close()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return
    raise BenchError(f"nobody listens on port {port}")


async def load(space: Space, port: int, path: str, token: str) -> Load:
    """`PROCESSES` processes with `CONNECTIONS` connections each, for `ROUND_S` seconds."""
    wanted: dict[str, Any] = {
        "name": "load",
        "port": port,
        "path": path,
        "token": token,
        "connections": CONNECTIONS,
        "seconds": ROUND_S,
    }
    workers = [space.raw("load_worker", wanted) for _ in range(PROCESSES)]
    await asyncio.gather(*(asyncio.to_thread(worker.process.wait, 30) for worker in workers))
    rate, took = 0.0, []
    for worker in workers:
        space.workers.remove(worker)
        if worker.process.returncode:
            raise BenchError(f"the load on {path} failed:\n{worker.tail()}")
        found = json.loads(worker.log.read_text())
        rate += found["count"] / found["seconds"]
        took += found["ms"]
    return Load(rate, statistics.median(took), percentile(took, 0.99))


async def one(
    port: int, token: str, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
) -> Any:
    """One request's answer as JSON; raises `BenchError` unless it succeeded."""
    client = await Client.connect(port, token)
    try:
        status, answer = await client.request(method, path, body, content_type)
    finally:
        client.close()
    if status >= 300:
        raise BenchError(f"{method} {path} answered {status}: {answer[:500]!r}")
    return json.loads(answer)


async def timed(port: int, token: str, method: str, path: str, count: int, body: bytes = b"") -> list[float]:
    """Latencies in ms of requests one after another."""
    client = await Client.connect(port, token)
    took = []
    try:
        for _ in range(count):
            started = time.perf_counter()
            status, answer = await client.request(method, path, body)
            took.append((time.perf_counter() - started) * 1000)
            if status >= 300:
                raise BenchError(f"{method} {path} answered {status}: {answer[:500]!r}")
    finally:
        client.close()
    return took
