"""A storm of wrong passwords from as many addresses as there are tries, beside what people ask meanwhile."""

from __future__ import annotations

import asyncio
import json
import secrets
import time

from bench.figures import Figure, Report, percentile
from bench.lab import BenchError, Lab, Space
from bench.load import Client, listening
from bench.query import INSERT_BOARD, INSERT_ITEMS, TRACKER, gateway
from deploy.embedded import free_port

TRIES_PER_S, QUERIES_PER_S = 200, 40
ROUNDS, ROUND_S, CONNECTIONS, ITEMS = 7, 5.0, 8, 1_000
PATH = f"{TRACKER}/items?limit=20"
AIM = 2.0


async def run(lab: Lab, report: Report) -> None:
    """p95 of ordinary queries with and without the storm, in turns. Each try comes as far as the queue of hashes."""
    async with lab.space(["tracker"]) as space:
        await space.database.execute(INSERT_BOARD)
        await space.database.execute(INSERT_ITEMS, 1, ITEMS)
        await space.database.execute("ANALYZE")
        port, token = gateway(
            space,
            HEADGATE_ANONYMOUS_REQUESTS_PER_MINUTE="1000000000",
            HEADGATE_TRUSTED_PROXIES='["127.0.0.0/8"]',
            HEADGATE_VAULT_SECRET=secrets.token_urlsafe(32),
        )
        await listening(space, port)
        await space.subscribed(space.topology.commands_stream, "tracker-commands")
        await _asked(port, token)  # statements are prepared
        calm: list[float] = []
        stormy: list[float] = []
        judged, refused = 0, 0
        for number in range(ROUNDS):
            for storm in (False, True) if number % 2 else (True, False):
                if not storm:
                    calm.append(await _asked(port, token))
                    continue
                found, statuses = await _in_a_storm(space, port, token)
                stormy.append(found)
                judged, refused = judged + statuses.get("401", 0), refused + statuses.get("429", 0)
    name = f"{TRIES_PER_S} wrong passwords a second: queries' p95"
    report.figures.append(
        Figure("storm", name, "ms", tuple(stormy), "without them", tuple(calm), AIM, lower_is_better=True)
    )
    report.notes.append(f"of the tries {judged} were judged and {refused} refused (429) since too many waited")


async def _in_a_storm(space: Space, port: int, token: str) -> tuple[float, dict[str, int]]:
    wanted = {"name": "storm", "port": port, "per_second": TRIES_PER_S, "seconds": ROUND_S + 2, "seed": free_port()}
    worker = space.raw("storm_worker", wanted)
    while not worker.tail():  # it has begun
        worker.check()
        await asyncio.sleep(0.02)
    found = await _asked(port, token)
    await asyncio.to_thread(worker.process.wait, 60)
    space.workers.remove(worker)
    if worker.process.returncode:
        raise BenchError(f"the storm failed:\n{worker.tail()}")
    told = json.loads(worker.log.read_text().splitlines()[-1])
    if told["per_second"] < TRIES_PER_S * 0.9 or set(told["statuses"]) - {"401", "429"}:
        raise BenchError(f"that was no storm of {TRIES_PER_S} wrong passwords a second: {told}")
    return found, told["statuses"]


async def _asked(port: int, token: str) -> float:
    """p95 in ms of queries that come at their times, whether or not the one before was answered."""
    clients = [await Client.connect(port, token) for _ in range(CONNECTIONS)]
    for client in clients:
        await client.request("GET", PATH)
    began, took = time.perf_counter(), []

    async def ask(client: Client, place: int) -> None:
        for number in range(place, int(QUERIES_PER_S * ROUND_S), len(clients)):
            due = began + number / QUERIES_PER_S
            await asyncio.sleep(due - time.perf_counter())
            status, body = await client.request("GET", PATH)
            took.append((time.perf_counter() - due) * 1000)
            if status != 200:
                raise BenchError(f"{PATH} answered {status}: {body[:300]!r}")

    await asyncio.gather(*(ask(client, place) for place, client in enumerate(clients)))
    for client in clients:
        client.close()
    return percentile(took, 0.95)
