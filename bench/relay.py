"""Outbox rows that a relay sends in a second, beside atomic batches of the same events that come from nowhere."""

from __future__ import annotations

import asyncio
import time
import uuid

from bench.consumer import sample
from bench.figures import Figure, Report, median_rate
from bench.lab import POLL_S, WAIT_S, BenchError, Lab, Space

ROWS = 10_000
ROUNDS = 5
INSERT = """
INSERT INTO tracker.outbox (message_id, kind, name, site, payload)
SELECT id, 'event', 'tracker.item.updated', 'global', payload FROM unnest($1::uuid[], $2::bytea[]) AS new (id, payload)
"""
UNSENT = "SELECT count(*) FROM tracker.outbox WHERE sent_at IS NULL"


async def run(lab: Lab, report: Report) -> None:
    """The tracker's relay in its own process, and raw batches from this one, in turns."""
    async with lab.space(["tracker"]) as space:
        await space.subscribed(space.topology.commands_stream, "tracker-commands")
        relay, floor = [], []
        for number in range(ROUNDS + 1):  # the first one warms up
            seconds = await _relay(space), await _floor(space)
            if number:
                relay.append(seconds[0])
                floor.append(seconds[1])
    rates = median_rate(ROWS, relay), median_rate(ROWS, floor)
    report.figures.append(Figure("relay", "outbox relay", "events/s", rates[0], "raw atomic batches of 500", rates[1]))


async def _relay(space: Space) -> float:
    rows = [sample(space, "global", number) for number in range(ROWS)]
    ids = [uuid.UUID(row.message_id) for row in rows]
    await space.database.execute(INSERT, ids, [row.payload for row in rows])
    started = time.perf_counter()
    await space.database.execute("SELECT pg_notify('tracker_outbox', '')")
    while time.perf_counter() < started + WAIT_S:
        if not await space.database.fetchval(UNSENT):
            return time.perf_counter() - started
        await asyncio.sleep(POLL_S)
    raise BenchError(f"the relay did not send {ROWS} rows in {WAIT_S:.0f} s")


async def _floor(space: Space) -> float:
    rows = [sample(space, "global", number) for number in range(ROWS)]
    started = time.perf_counter()
    await space.publish(rows)
    return time.perf_counter() - started
