"""One process of load: as many requests as its connections can make in the given seconds; prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.load import Client

WARM_UP_S = 0.3


async def ask(client: Client, path: str, until: float, took: list[float]) -> None:
    """Until the time is up; what is begun before it counts."""
    while (started := time.perf_counter()) < until:
        status, body = await client.request("GET", path)
        took.append((time.perf_counter() - started) * 1000)
        if status != 200:
            raise SystemExit(f"{path} answered {status}: {body[:500]!r}")


async def main(wanted: dict[str, Any]) -> None:
    """Connect, warm up, measure."""
    clients = [await Client.connect(wanted["port"], wanted["token"]) for _ in range(wanted["connections"])]
    await asyncio.gather(*(ask(one, wanted["path"], time.perf_counter() + WARM_UP_S, []) for one in clients))
    took: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(ask(one, wanted["path"], started + wanted["seconds"], took) for one in clients))
    seconds = time.perf_counter() - started
    print(json.dumps({"count": len(took), "seconds": seconds, "ms": [round(ms, 3) for ms in took]}))


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
