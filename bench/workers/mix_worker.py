"""One process of mixed load: each connection sends the next request when the last was answered; prints JSON."""

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

from bench.load import Client
from bench.scale.traffic import request


async def send(client: Client, wanted: dict[str, Any], first: int, until: float, done: Counter[str]) -> float:
    """Until the time is up; what is begun before it counts. Returns the seconds that were spent waiting for answers."""
    kinds = wanted["kinds"]
    at, waited = first, 0.0
    while (started := time.perf_counter()) < until:
        kind = kinds[at % len(kinds)]
        number = (at - first) * wanted["of"] + first
        status, body = await client.request(*request(kind, number, wanted["run"], wanted["items"]))
        if status >= 300:
            raise SystemExit(f"{kind} was answered {status}: {body[:500]!r}")
        waited += time.perf_counter() - started
        done[kind] += 1
        at += 1
    return waited


async def main(wanted: dict[str, Any]) -> None:
    """Connect, and measure."""
    ports = wanted["ports"]
    clients = [await Client.connect(ports[n % len(ports)], wanted["token"]) for n in wanted["connections"]]
    done: Counter[str] = Counter()
    started_at, started, used = time.time(), time.perf_counter(), time.process_time()
    until = started + wanted["seconds"]
    numbers = zip(clients, wanted["connections"], strict=True)
    waited = await asyncio.gather(*(send(client, wanted, n, until, done) for client, n in numbers))
    cpu_s = time.process_time() - used
    said = {"done": done, "waited_s": sum(waited), "cpu_s": cpu_s, "begun_s": used, "started_at": started_at}
    print(json.dumps(said))


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
