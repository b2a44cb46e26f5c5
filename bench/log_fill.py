"""Fills the audit log in bulk: what the service would have written, by its own arithmetic, at a multiple of its speed.

Chain, digests and tree are made here and copied in, 10 thousand entries a transaction, while the next ones are made.
Indexes that are not in order of the entries are taken away meanwhile and made anew at the end, which is what makes it
fast. Nobody else may write then. Killed anywhere, the next call goes on where it stood.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from bench.consumer import sample
from bench.lab import BenchError, Space
from libs.tlog.tiles import Growth
from services.audit import tree
from services.audit.domain.chain import Link, extend
from services.audit.domain.content import ADDED, COPIED, VERSION, Added, Copies, added_of, copies_of

CHUNK = 10_000
TOLD_EVERY = 500_000
COLUMNS = ("seq", "prev_hash", "hash", "recorded_at", "payload", *COPIED, *ADDED, "version")
SUBJECTS = 1000
# What differs from event to event, as it stands in the template of their bytes.
MARKS = {name: f"\0{name}\0" for name in ("id", "subject", "time", "causationid", "correlationid", "traceparent")}

DROPPED = "CREATE TABLE IF NOT EXISTS public.dropped (name text PRIMARY KEY, definition text NOT NULL)"
# All but the primary key, which is in order of seq.
DEFINITIONS = """
SELECT conname AS name, true AS is_constraint,
       format('ALTER TABLE audit.entry ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) AS definition
FROM pg_constraint WHERE conrelid = 'audit.entry'::regclass AND contype = 'u'
UNION ALL
SELECT indexname, false, indexdef FROM pg_indexes WHERE schemaname = 'audit' AND tablename = 'entry'
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)
ORDER BY name
"""
# A fill writes some 30 GB of its own log of changes; checkpoints in between would write the tables again and again.
SETTINGS = {"max_wal_size": "6GB", "checkpoint_timeout": "30min"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Entries that stand behind each other, ready to be stored, and where chain and tree are behind them."""

    records: list[tuple[Any, ...]]
    known: list[tuple[str, str]]
    end: Link
    grown: Growth


class Maker:
    """Makes events as the tracker sends them, each with ids and a subject of its own."""

    def __init__(self, space: Space) -> None:
        document = orjson.loads(sample(space, "global", 0).payload)
        self._document = document
        self._added = Added(*added_of(document))
        text = orjson.dumps(document | MARKS).decode().replace("%", "%%")
        for name, mark in MARKS.items():
            text = text.replace(orjson.dumps(mark).decode(), f'"%({name})s"')
        self._template = text

    def chunk(self, link: Link, growth: Growth, count: int) -> Chunk:
        """The next ``count`` entries behind these ends of chain and tree. Raises `BenchError` if an entry is not as the
        service would read it out of its event.
        """
        now = datetime.now(UTC)
        payloads, said = self._events(now, count)
        if said[0] != (copies_of(document := orjson.loads(payloads[0]), now), Added(*added_of(document))):
            raise BenchError(f"the filled log would not say what its events say: {said[0]} of {payloads[0]!r}")
        hashes = [hashlib.sha256(payload).digest() for payload in payloads]
        links = extend(link, hashes, now)
        sizes = [(len(payload), one) for payload, one in zip(payloads, hashes, strict=True)]
        grown = Growth(growth.size, list(growth.edges))
        grown.add(tree.digests(link, links, sizes, said, now))
        before = [link.hash, *(one.hash for one in links)]
        records = [
            (one.seq, prev_hash, one.hash, now, payload, *copies, *added, VERSION)
            for one, prev_hash, payload, (copies, added) in zip(links, before, payloads, said, strict=False)
        ]
        return Chunk(records, [("audit-events", copies.event_id) for copies, _ in said], links[-1], grown)

    def _events(self, now: datetime, count: int) -> tuple[list[bytes], list[tuple[Copies, Added]]]:
        """Their bytes, and what the log repeats of each."""
        payloads, said = [], []
        ids, template, added = uuids(3 * count), self._template, self._added
        traces, moment = os.urandom(16 * count).hex(), now.isoformat()
        type_, source, site, actor = (self._document[name] for name in ("type", "source", "site", "actor"))
        for number in range(count):
            id_, cause, request = ids[3 * number : 3 * number + 3]
            trace, subject = traces[32 * number : 32 * number + 32], str(random.randrange(SUBJECTS))
            values = {
                "id": id_,
                "subject": subject,
                "time": moment,
                "causationid": cause,
                "correlationid": request,
                "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
            }
            payloads.append((template % values).encode())
            copies = Copies(now, id_, type_, source, site, actor, subject, cause, request)
            said.append((copies, added._replace(trace_id=trace)))
        return payloads, said


def uuids(count: int) -> list[str]:
    """So many texts of UUIDv7 of this millisecond: `libs.common.ids.uuid7` one by one would take a third of a fill."""
    stamp, bits = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10 * count).hex()
    first = f"{stamp[:8]}-{stamp[8:]}-7"
    each = (bits[at : at + 20] for at in range(0, 20 * count, 20))
    return [f"{first}{one[:3]}-{'89ab'[int(one[3], 16) & 3]}{one[4:7]}-{one[7:19]}" for one in each]


async def fill(space: Space, connection: asyncpg.Connection, size: int) -> None:
    """`write`, on a server of one's own: it makes fewer checkpoints meanwhile, and is as quiet as before afterwards."""
    for name, value in SETTINGS.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await connection.execute("SELECT pg_reload_conf()")
    await write(space, connection, size)
    for name in SETTINGS:
        await connection.execute(f"ALTER SYSTEM RESET {name}")
    await connection.execute("SELECT pg_reload_conf()")
    for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
        await connection.execute(statement, timeout=3600)


async def write(space: Space, connection: asyncpg.Connection, size: int) -> None:
    """Copy entries in until there are so many, with their rows in the inbox, and the tree over them.

    Raises `BenchError` if the table is not afterwards as it was made by the service's migrations.
    """
    await connection.execute(DROPPED)
    if (await tree.read_head(connection)).seq < size:
        await _drop(connection, await _definitions(connection))
        gc.disable()  # nothing here is a circle, and to look for one takes a quarter of the time
        try:
            await _copy(Maker(space), connection, size)
        finally:
            gc.enable()
    await _restore(connection)


async def _copy(maker: Maker, connection: asyncpg.Connection, size: int) -> None:
    head, began = await tree.read_head(connection), time.perf_counter()
    await connection.execute("SET synchronous_commit = off")  # what is lost in a crash is made again
    link, growth, told = head.link, head.growth(), head.seq
    chunk = maker.chunk(link, growth, min(CHUNK, size - link.seq))
    while True:
        link, growth, left = chunk.end, chunk.grown, size - chunk.end.seq
        coming = asyncio.create_task(asyncio.to_thread(maker.chunk, link, growth, min(CHUNK, left))) if left else None
        async with connection.transaction():
            if (await tree.lock_head(connection)).seq != chunk.records[0][0] - 1:
                raise BenchError("somebody else wrote into the log while it was filled")
            await connection.copy_records_to_table("entry", records=chunk.records, columns=COLUMNS, timeout=600)
            await connection.copy_records_to_table("inbox", records=chunk.known, columns=("consumer", "event_id"))
            await tree.move(connection, link, growth)
        if link.seq - told >= TOLD_EVERY or not left:
            rate = (link.seq - head.seq) / (time.perf_counter() - began)
            print(f"  filled up to {link.seq:,} entries, {rate:,.0f} a second", flush=True)
            told = link.seq
        if coming is None:
            break
        chunk = await coming
    await connection.execute("RESET synchronous_commit")


async def _definitions(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    return await connection.fetch(DEFINITIONS)


async def _drop(connection: asyncpg.Connection, found: list[asyncpg.Record]) -> None:
    """Take them away, and keep how they are made, also for who goes on after a crash."""
    async with connection.transaction():
        for name, is_constraint, definition in found:
            await connection.execute("INSERT INTO public.dropped VALUES ($1, $2)", name, definition)
            await connection.execute(
                f"ALTER TABLE entry DROP CONSTRAINT {name}" if is_constraint else f"DROP INDEX {name}"
            )


async def _restore(connection: asyncpg.Connection) -> None:
    """Make anew what was taken away."""
    began = time.perf_counter()
    wanted = await connection.fetch("SELECT name, definition FROM public.dropped ORDER BY name")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    for name, definition in wanted:
        async with connection.transaction():
            await connection.execute(definition, timeout=3600)
            await connection.execute("DELETE FROM public.dropped WHERE name = $1", name)
    await connection.execute("RESET maintenance_work_mem")
    made = {name: definition for name, _, definition in await _definitions(connection)}
    if unlike := [name for name, definition in wanted if made.get(name) != definition]:
        raise BenchError(f"these indexes are not as before: {', '.join(unlike)}")
    if wanted:
        print(f"  {len(wanted)} indexes made anew in {time.perf_counter() - began:.0f} s", flush=True)
