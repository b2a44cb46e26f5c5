"""Wrong passwords at a fixed rate, each from another address and for another name; prints JSON at the end."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

CONNECTIONS = 64
BODY = '{"username": "%s", "password": "not the four words"}'


class Guesser:
    """One connection of a proxy; one try at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def guess(self, address: str, name: str) -> str:
        """The status of the answer."""
        body = BODY % name
        proxied = f"X-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\n"
        form = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(f"POST /api/sign-in HTTP/1.1\r\nHost: localhost\r\n{proxied}{form}\r\n{body}".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        at = head.index(b"content-length:") + 15
        await self._reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        return head[9:12].decode()


async def main(wanted: dict[str, Any]) -> None:
    """Every n-th moment a try, whichever connection is free."""
    free: asyncio.Queue[Guesser] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Guesser(*await asyncio.open_connection("127.0.0.1", wanted["port"])))
    print("begun", flush=True)
    statuses: Counter[str] = Counter()
    count, began, sent = int(wanted["per_second"] * wanted["seconds"]), time.perf_counter(), [0.0]

    async def one(number: int) -> None:
        guesser = await free.get()
        sent[0] = time.perf_counter() - began
        place = wanted["seed"] * 1_000_003 + number
        address = f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"
        statuses[await guesser.guess(address, f"name-{place % 5_000_000}")] += 1
        free.put_nowait(guesser)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(began + number / wanted["per_second"] - time.perf_counter())
            group.create_task(one(number))
    print(json.dumps({"per_second": count / sent[0], "statuses": statuses}))


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
