"""What becomes of the consumer and of a list when tables grow from 10 thousand rows to 1 million (`--growth`)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import orjson

from bench.consumer import sample
from bench.figures import Figure, Report, median_rate
from bench.lab import BenchError, Lab, Space
from bench.query import INSERT_BOARD, INSERT_ITEMS
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.tracker.item_lists import list_items
from libs.common.ids import uuid7

SIZES = (10_000, 1_000_000)
EVENTS = 10_000
QUESTIONS = 1_600
AT_ONCE = 16
ROUNDS = 5
FILL_LOG = (
    """
    WITH head AS (SELECT seq FROM audit.head),
    fresh AS (SELECT n, gen_random_uuid() AS id FROM head, generate_series(head.seq + 1, $1::bigint) AS n),
    known AS (INSERT INTO audit.inbox (consumer, event_id) SELECT 'audit-events', id FROM fresh)
    INSERT INTO audit.entry (seq, event_id, type, source, site, actor, subject, time, causationid, correlationid,
        recorded_at, payload, prev_hash, hash)
    SELECT n, id, 'headgate.tracker.item.updated.v1', '/headgate/tracker', 'global', 'ann', (n % 1000)::text, now(),
        gen_random_uuid(), gen_random_uuid(), now(), convert_to(repeat('x', 600), 'UTF8'),
        sha256(convert_to((n - 1)::text, 'UTF8')), sha256(convert_to(n::text, 'UTF8'))
    FROM fresh
    """,
    # The tree's right edge as it is at that size, of hashes that are none: what an append costs is the same.
    """
    UPDATE audit.head SET seq = $1::bigint, hash = sha256(convert_to(($1::bigint)::text, 'UTF8')), tree_size = $1,
        edges = (SELECT array_agg(decode(repeat('ab', (($1 >> (8 * greatest(level, 0))) % 256 * 32)::int), 'hex')
            ORDER BY level) FROM generate_series(-1, 3) AS level)
    """,
)


async def run(lab: Lab, report: Report) -> None:
    """The small tables first, then the same ones filled up."""
    rates: dict[str, list[tuple[float, ...]]] = {"audit consumer": [], "list of 20 items": []}
    async with lab.space(["audit", "tracker"]) as space:
        await space.subscribed(space.topology.events_stream, "audit-events")
        await space.subscribed(space.topology.commands_stream, "tracker-commands")
        await space.database.execute(INSERT_BOARD)
        filled = 0
        for size in SIZES:
            for statement in FILL_LOG:
                await space.database.execute(statement, size, timeout=600)
            await space.database.execute(INSERT_ITEMS, filled + 1, size, timeout=600)
            await space.database.execute("VACUUM ANALYZE", timeout=600)
            await space.database.execute("CHECKPOINT", timeout=600)
            filled = size
            consumed = [await consume(space) for _ in range(ROUNDS + 1)][1:]
            asked = [await _ask(space) for _ in range(ROUNDS + 1)][1:]
            rates["audit consumer"].append(median_rate(EVENTS, consumed))
            rates["list of 20 items"].append(median_rate(QUESTIONS, asked))
    for name, (small, large) in rates.items():
        unit = "events/s" if name == "audit consumer" else "queries/s"
        report.figures.append(Figure("growth", f"{name}, 1 million rows", unit, large, "10 thousand rows", small))


async def consume(space: Space) -> float:
    """Seconds in which the audit service drains `EVENTS` events."""
    stream, hold = space.topology.events_stream, await space.hold("audit.inbox")
    await space.publish([sample(space, "global", number) for number in range(EVENTS)])
    return await space.drain(stream, "audit-events", hold)


async def _ask(space: Space) -> float:
    data = orjson.dumps({"params": {"limit": 20}, "sites": ["*"], "permissions": []})

    async def some() -> None:
        for _ in range(QUESTIONS // AT_ONCE):
            envelope = CloudEvent(
                id=str(uuid7()), source="/headgate/gateway", type=list_items.type, time=datetime.now(UTC), actor="ann"
            )
            reply = await space.bus.ask(list_items, envelope, data)
            if reply.status != 200:
                raise BenchError(f"the list answered {reply.status}: {reply.body[:500]!r}")

    started = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return time.perf_counter() - started
