"""What people ask of the tracker, and a sync, at 10 thousand, 100 thousand and 1 million items: time and rows read."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import BaseModel

from bench.command import Caller
from bench.figures import Figure, Report, percentile
from bench.filling import fill
from bench.lab import PASSWORDS, BenchError, Lab, Space
from libs.common import admin
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Query
from libs.common.contracts.tracker.board import SyncBody, sync_board
from libs.common.contracts.tracker.item_lists import ItemFilter, list_items
from libs.common.contracts.tracker.kpi import KpiWindow, get_kpi
from libs.common.contracts.tracker.sla import SlaFilter, get_sla
from libs.common.ids import uuid7
from libs.common.migrations import login_role
from libs.common.postgres import make_pool
from libs.common.service import Read
from services.tracker import item_lists, kpi, sla

SIZES = {"10 thousand": 10_000, "100 thousand": 100_000, "1 million": 1_000_000}
ROUNDS = 5
TIMES = 40  # in a round
COUNTED = 12  # of the syncs whose rows are counted
AIM = 1.5  # the largest to the smallest
# A session of PostgreSQL tells what it has read when a transaction ends, once a second; an idle one after 10 s.
TOLD_AFTER_S, ALL_TOLD_AFTER_S = 1.1, 11.0
TELL_NOW = "SELECT pg_stat_force_next_flush()"
# Of what grows with the items: index entries, and rows of tables that were read from end to end.
SELECT_READ = """
SELECT sum(seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS one WHERE one.relid = whole.relid))
FROM pg_stat_user_tables AS whole
WHERE schemaname = 'tracker' AND relname IN ('board', 'item', 'item_episode', 'item_change', 'kpi_total', 'kpi_delta')
"""
Ask = Callable[[int], Awaitable[list[float]]]  # so many times; the latencies in ms


PAGE, KPI, SLA_OF_BOARD, SLA, SYNC = "page of 20 items", "KPIs of a site", "SLA of a board", "SLA of a gate", "sync"
AIMS = {PAGE: AIM, KPI: AIM, SLA_OF_BOARD: None, SLA: None, SYNC: None}
_PAGE, _BOARD, _GATE = (
    ItemFilter(gate="release", limit=20),
    SlaFilter(gate="release", subject="app-0"),
    SlaFilter(gate="release"),
)
HANDLERS: dict[str, Callable[[Read], Awaitable[Any]]] = {
    PAGE: lambda read: item_lists.list_items(read, _PAGE),
    KPI: lambda read: kpi.get_kpi(read, KpiWindow()),
    SLA_OF_BOARD: lambda read: sla.get_sla(read, _BOARD),
    SLA: lambda read: sla.get_sla(read, _GATE),
}


@dataclass
class Board:
    """A tracker with so many items, and what was measured of it."""

    space: Space
    asks: Mapping[str, Ask]
    took: dict[str, list[list[float]]] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    async def count(self) -> None:
        """The rows that one question reads, by the very handlers on one session; and those that one sync reads."""
        await asyncio.sleep(ALL_TOLD_AFTER_S)
        url = admin.service_url(self.space.database_url, login_role("tracker"), PASSWORDS["tracker"])
        pool = await make_pool(url, schema="tracker", size=1, application="bench")
        read = Read(pool, "global", "ann", datetime.now(UTC), sites=("*",))
        for name, handler in HANDLERS.items():
            before = await self._told()
            await handler(read)
            await pool.execute(TELL_NOW)
            self.read[name] = await self._told() - before
        await pool.close()
        told = []
        for _ in range(COUNTED + 1):
            await self.asks[SYNC](1)
            await asyncio.sleep(TOLD_AFTER_S)
            told.append(await self._told())
        # The median, since the tracker itself counts open items for its gauges every few seconds.
        self.read[SYNC] = statistics.median(after - before for before, after in itertools.pairwise(told))

    async def _told(self) -> float:
        return float(await self.space.database.fetchval(SELECT_READ))


async def run(lab: Lab, report: Report) -> None:
    """Each size has a database and processes of its own, so that the sizes are measured in turns."""
    async with contextlib.AsyncExitStack() as stack:
        boards = {}
        for size, items in SIZES.items():
            space = await stack.enter_async_context(lab.space())
            await fill(space, items)
            boards[size] = await _board(space)
        for number in range(ROUNDS + 1):  # the first one warms up
            for name in AIMS:
                for board in boards.values():
                    latencies = await board.asks[name](TIMES)
                    if number:
                        board.took.setdefault(name, []).append(latencies)
        await asyncio.gather(*(board.count() for board in boards.values()))
    _tell(report, boards)


async def _board(space: Space) -> Board:
    for service in ("tracker", "governance"):
        space.service(service)
        await space.subscribed(space.topology.commands_stream, f"{service}-commands")
    caller = Caller(space)
    await caller.listen()
    body = SyncBody(gate="release", subject="app-0", version="1")
    asks: dict[str, Ask] = {
        PAGE: question(space, list_items, _PAGE),
        KPI: question(space, get_kpi, KpiWindow()),
        SLA_OF_BOARD: question(space, get_sla, _BOARD),
        SLA: question(space, get_sla, _GATE),
        SYNC: lambda times: caller.command(sync_board, body, times),
    }
    return Board(space, asks)


def question(space: Space, query: Query, params: BaseModel) -> Ask:
    """Asks a service over the bus, one question after another."""
    data = orjson.dumps({"params": params.model_dump(exclude_unset=True), "sites": ["*"], "permissions": []})

    async def ask(times: int) -> list[float]:
        took = []
        for _ in range(times):
            envelope = CloudEvent(
                id=str(uuid7()), source="/headgate/gateway", type=query.type, time=datetime.now(UTC), actor="ann"
            )
            started = time.perf_counter()
            reply = await space.bus.ask(query, envelope, data)
            took.append((time.perf_counter() - started) * 1000)
            if reply.status != 200:
                raise BenchError(f"{query.name} answered {reply.status}: {reply.body[:500]!r}")
        return took

    return ask


def _tell(report: Report, boards: Mapping[str, Board]) -> None:
    small, *larger = boards
    for name, aim in AIMS.items():
        for size in larger:
            for label, share in (("p50", 0.5), ("p95", 0.95)):
                value = tuple(percentile(one, share) for one in boards[size].took[name])
                floor = tuple(percentile(one, share) for one in boards[small].took[name])
                wanted = aim if (label, size) == ("p50", larger[-1]) else None
                named = f"{name}, {size} items, {label}"
                report.figures.append(
                    Figure("items", named, "ms", value, f"{small} items", floor, wanted, lower_is_better=True)
                )
            read = (boards[size].read[name],), (boards[small].read[name],)
            report.figures.append(
                Figure("items", "  rows read", "rows", read[0], f"{small} items", read[1], lower_is_better=True)
            )
