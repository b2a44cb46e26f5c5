"""What an append, a proof and a verification cost when the audit log grows from 10 thousand entries to 10 million.

The entries are made and copied in by `bench.log_fill`. At each size it is measured, in turns, beside the least that the
same work costs in the same minute; the tree is recomputed from the entries' digests, and every proof is checked.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from pydantic import BaseModel

from bench import audit
from bench.audit import AIM, COUNTS, SIGNED
from bench.figures import Figure, Report, median_rate, percentile
from bench.growth import ROUNDS
from bench.lab import BenchError, Lab, Space
from bench.log_checks import check_rows, hashing, root_of
from bench.log_fill import fill
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.audit.head import get_head
from libs.common.contracts.audit.tree import (
    Consistency,
    ConsistencyKey,
    Inclusion,
    InclusionKey,
    prove_consistency,
    prove_inclusion,
)
from libs.common.contracts.base import Nothing, Query
from libs.common.ids import uuid7
from libs.tlog.merkle import consistent, included
from libs.tlog.tiles import Growth
from services.audit import tree
from services.audit.domain.chain import GENESIS, Link
from services.audit.verifications.pieces import Piece, verify_piece

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
VERIFIED = 1_000_000  # the largest log that is verified whole here
PROOFS = 1_000
WARM = 50
NEEDED_GB = 40
FLOOR = "the log's head, asked in turns"
MEASURED = "measured.json"
EVENTS = "events"


async def run(lab: Lab, report: Report) -> None:
    """Fill the log, then measure and tell, size by size. Raises `BenchError` if there is no room for it."""
    measured = _measured(lab.folder)
    if (free := shutil.disk_usage(lab.folder).free / 1e9) < NEEDED_GB and not measured:
        raise BenchError(f"a log of 10 million entries needs {NEEDED_GB} GB of disk, {lab.folder} has {free:.0f} GB")
    async with lab.space() as space:
        connection = await asyncpg.connect(space.database_url, server_settings={"search_path": "audit"})
        for size in SIZES:
            if str(size) not in measured:
                figures = await _at(space, connection, size)
                measured[str(size)] = [asdict(figure) for figure in figures]
                (lab.folder / MEASURED).write_text(json.dumps(measured))
            report.figures += [Figure(**figure) for figure in measured[str(size)]]
            report.show()
        await connection.close()


def _measured(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The figures that a kept log has already, by its size then."""
    file = folder / MEASURED
    return json.loads(file.read_text()) if file.exists() else {}


async def _at(space: Space, connection: asyncpg.Connection, size: int) -> list[Figure]:
    """Everything at one size. The floor begins with empty tables at each."""
    await space.end()
    await _without_floor(space)
    await fill(space, connection, size)
    space.service("audit", **SIGNED)
    await space.subscribed(space.topology.events_stream, "audit-events")
    await audit.start_floor(space, EVENTS, space.topology.events_stream)
    took: dict[str, list[float]] = {"audit": [], "floor": []}
    for number in range(ROUNDS + 1):  # the first one warms up
        for who, seconds in (await audit.one_round(space, EVENTS, space.topology.events_stream, number)).items():
            took[who] += [seconds] if number else []
    name = f"{size:,} entries"
    log, floor = (median_rate(COUNTS[EVENTS], took[who]) for who in ("audit", "floor"))
    figures = [Figure("log_growth", f"append, {name}", "/s", log, "the same rows, nothing hashed", floor, AIM)]
    figures += await _prove(space, connection, name)
    if size == VERIFIED:
        figures.append(await _verify(connection))
    return figures


async def _without_floor(space: Space) -> None:
    """Remove the floor of the size before, or of a run that was ended."""
    names = {stream.config.name for stream in await space.bus.js.streams_info()}
    if (copy := audit.floor_stream(space.topology.events_stream)) in names:
        await space.bus.js.delete_stream(copy)
    await space.database.execute(f"DROP SCHEMA IF EXISTS bench_{EVENTS} CASCADE")


async def _prove(space: Space, connection: asyncpg.Connection, name: str) -> list[Figure]:
    """Milliseconds of proofs of entries and sizes anywhere, asked one after the other; each is checked.

    The root that they must lead to is made of the entries' digests here, another way than the service makes it.
    """
    size = (await tree.read_head(connection)).tree_size
    await _signed(connection, size)
    await check_rows(connection, size)
    root, picks = await root_of(connection, size), random.Random(size)
    took: dict[str, list[float]] = {"head": [], "inclusion": [], "consistency": []}
    for number in range(PROOFS + WARM):
        seq, old = picks.randint(1, size), picks.randint(1, size)
        questions = {
            "head": (get_head, Nothing()),
            "inclusion": (prove_inclusion, InclusionKey(seq=seq, size=size)),
            "consistency": (prove_consistency, ConsistencyKey(from_size=old, size=size)),
        }
        said = {}
        for kind, (query, params) in questions.items():
            said[kind], lasted = await _ask(space, query, params)
            took[kind] += [lasted] if number >= WARM else []
        one = Inclusion.model_validate_json(said["inclusion"])
        if not included(bytes.fromhex(one.leaf_hash), seq - 1, size, _path(one.hashes), root):
            raise BenchError(f"the proof of entry {seq} does not hold")
        two = Consistency.model_validate_json(said["consistency"])
        old_root = await root_of(connection, old) if number == 0 else bytes.fromhex(two.from_root_hash)
        if not consistent(old, old_root, size, root, _path(two.hashes)):
            raise BenchError(f"the proof that {size} entries go on from {old} does not hold")
    return [
        Figure(
            "log_growth", f"{kind} proof, {name}, p{share * 100:.0f}", "ms", (percentile(took[kind], share),),
            f"{FLOOR}, p{share * 100:.0f}", (percentile(took["head"], share),), lower_is_better=True,
        )
        for kind in ("inclusion", "consistency")
        for share in (0.5, 0.99)
    ]  # fmt: skip


def _path(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(one) for one in hashes]


async def _ask(space: Space, query: Query, params: BaseModel) -> tuple[bytes, float]:
    """The answer as JSON, and after how many milliseconds it came."""
    envelope = CloudEvent(
        id=str(uuid7()), source="/headgate/gateway", type=query.type, time=datetime.now(UTC), actor="ann"
    )
    data = orjson.dumps({"params": params.model_dump(), "sites": ["*"], "permissions": []})
    started = time.perf_counter()
    reply = await space.bus.ask(query, envelope, data)
    lasted = (time.perf_counter() - started) * 1000
    if reply.status != 200:
        raise BenchError(f"{query.name} answered {reply.status}: {reply.body[:500]!r}")
    return reply.body, lasted


async def _signed(connection: asyncpg.Connection, size: int) -> None:
    """Wait for a checkpoint over all of it: the service signs once a second."""
    deadline = time.monotonic() + 60
    while (await connection.fetchval("SELECT max(size) FROM checkpoint") or 0) < size:
        if time.monotonic() > deadline:
            raise BenchError(f"no checkpoint of {size} entries within 60 s")
        await connection.execute("SELECT pg_sleep(0.1)")


async def _verify(connection: asyncpg.Connection) -> Figure:
    """All of it verified as the service's job does, beside the SHA-256 alone of the same bytes in memory."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        size = (await tree.read_head(connection)).seq
        piece = Piece(Link(0, GENESIS), Growth())
        started = time.perf_counter()
        while piece.end.seq < size:
            piece = await verify_piece(connection, piece, min(piece.end.seq + 10_000, size), [], lambda: False)
            if piece.fault is not None:
                raise BenchError(piece.fault.problem)
        took = time.perf_counter() - started
        alone = await hashing(connection, size)
    return Figure("log_growth", f"verification, {size:,} entries", "/s", (size / took,), "its SHA-256 alone", (alone,))
