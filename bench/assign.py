"""Giving out 1,000 items: two runs of the tracker's auto-assign, beside the raw UPDATE of the same rows."""

from __future__ import annotations

import time

from bench.command import Caller
from bench.figures import Figure, Report
from bench.lab import BenchError, Lab
from bench.query import INSERT_BOARD, INSERT_ITEMS
from libs.common.contracts.tracker.assignment import MAX_ASSIGNED, AutoAssign, run_auto_assign

ROUNDS = 5
RUNS = 2  # each gives out as many as one may
ITEMS = RUNS * MAX_ASSIGNED
FLOOR = "raw UPDATE of the same rows"
INSERT_PEOPLE = """
INSERT INTO tracker.person (username, role, sites, display_name, active, revision)
SELECT 'p' || n, (ARRAY['owner', 'manager', 'operator'])[1 + n % 3], '{*}', '', true, 1 FROM generate_series(1, 20) AS n
"""
ALL_KNOWN = "UPDATE tracker.people_known SET since = now()"
TAKE_BACK = "UPDATE tracker.item SET assignee = NULL, status = 'pending', completion_note = ''"
RAW_ASSIGN = """
UPDATE tracker.item SET assignee = 'p' || item.id % 20, status = 'in_progress', completion_note = repeat('x', 100),
    revision = revision + 1, updated_by = 'system', updated_at = now()
FROM (
    SELECT id FROM tracker.item WHERE site = 'global' AND is_active AND status <> 'done' AND assignee IS NULL
    ORDER BY priority, due_at, id LIMIT $1 FOR UPDATE
) AS chosen
WHERE item.id = chosen.id
"""
COUNT_GIVEN = "SELECT count(*) FROM tracker.item WHERE assignee IS NOT NULL"


async def run(lab: Lab, report: Report) -> None:
    """In turns, from the same state. A run also reads loads and keeps ledger, KPIs, events and a record."""
    async with lab.space(["tracker"]) as space:
        await space.database.execute(INSERT_BOARD)
        await space.database.execute(INSERT_ITEMS, 1, ITEMS)
        await space.database.execute(INSERT_PEOPLE)
        await space.database.execute(ALL_KNOWN)
        caller = Caller(space)
        await caller.listen()
        await space.subscribed(space.topology.commands_stream, "tracker-commands")

        async def by_tracker() -> None:
            await caller.command(run_auto_assign, AutoAssign(limit=MAX_ASSIGNED), times=RUNS)

        async def raw() -> None:
            for _ in range(RUNS):
                await space.database.execute(RAW_ASSIGN, MAX_ASSIGNED)

        rates: dict[str, list[float]] = {"tracker": [], "raw": []}
        for number in range(ROUNDS + 1):  # the first one warms up
            for name, give in (("tracker", by_tracker), ("raw", raw)):
                await space.database.execute(TAKE_BACK)
                started = time.perf_counter()
                await give()
                if number:
                    rates[name].append(ITEMS / (time.perf_counter() - started))
                if (given := await space.database.fetchval(COUNT_GIVEN)) != ITEMS:
                    raise BenchError(f"{name} gave out {given} of {ITEMS} items")
    mine, floor = tuple(rates["tracker"]), tuple(rates["raw"])
    report.figures.append(Figure("assign", "auto-assign of 1,000 items", "items/s", mine, FLOOR, floor))
