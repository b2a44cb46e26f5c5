"""Kill -9 of the tracker in the midst of its own work: what it tells, gives and opens, it does once."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from deploy.local.stack import LocalStack
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker.assignment import run_auto_assign
from libs.common.contracts.tracker.autopilot import run_autopilot
from libs.common.contracts.tracker.board import sync_board
from libs.common.contracts.tracker.escalation import run_escalation
from tests.faults import halted
from tests.faults.checker import check
from tests.faults.driver import Attempt, Driver, Kind
from tests.faults.halted import Moment
from tests.faults.world import World, drain, read_world

pytestmark = pytest.mark.faults
SUBJECTS = 8  # whose release gate is judged in a round; nothing is known of them, so every rule fails
RULES = 3  # of the release gate, at least
# What each writes, in this order; the tracker is killed while it waits to write there. A sync writes once to ask
# for a run, and what the run found when its verdict comes.
BEFORE: tuple[tuple[Kind, str], ...] = (
    ("escalate", "escalation_step"), ("escalate", "job_run"), ("escalate", "outbox"),
    ("assign", "item_change"), ("assign", "outbox"),
    ("fly", "item_change"), ("fly", "escalation_step"), ("fly", "autopilot_run"),
    ("sync", "run_request"), ("sync", "item_change"), ("sync", "outcomes"),
)  # fmt: skip
# Or when that is committed, and before anybody hears of it.
AFTER: tuple[tuple[Kind, Moment, str], ...] = (
    ("escalate", "tell", run_escalation.type), ("assign", "ack", run_auto_assign.type),
    ("fly", "tell", run_autopilot.type), ("fly", "ack", run_autopilot.type),
    ("sync", "ack", sync_board.type), ("sync", "tell", gate_decided.type), ("sync", "ack", gate_decided.type),
)  # fmt: skip
SEED, ROUNDS = 20260301, 3
WAITING = "SELECT count(*) FROM pg_locks WHERE relation = $1::regclass AND NOT granted"
# What each kind of work leaves.
DONE: dict[Kind, str] = {
    "escalate": "SELECT count(*) FROM tracker.escalation",
    "assign": "SELECT count(*) FROM tracker.item WHERE assignee IS NOT NULL",
    "fly": "SELECT count(*) FROM tracker.item WHERE assignee IS NOT NULL",
    "sync": "SELECT count(*) FROM tracker.item WHERE subject <> 'site'",
}
BOARDS = "SELECT count(*) FROM tracker.board WHERE subject LIKE $1 AND run_number > 0"
ITEMS = "SELECT count(*) FROM tracker.item WHERE is_active"


@pytest.fixture(scope="module")
def halt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("halt") / "order"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, halt: Path) -> Iterator[LocalStack]:
    env = {"HEADGATE_REQUESTS_PER_MINUTE": "1000000", halted.PATH: str(halt)}
    programs = {"tracker": ("-m", "tests.faults.halted")}
    stack = LocalStack(tmp_path_factory.mktemp("jobs") / "data", env=env, programs=programs)
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
async def inside(local: LocalStack) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to the database."""
    connection = await asyncpg.connect(local.servers.database_url)
    yield connection
    await connection.close()


async def open_items(driver: Driver, inside: asyncpg.Connection, name: str) -> None:
    """New items: of subjects that nobody has heard of before."""
    headers = {"Authorization": f"Bearer {driver.token}"}
    async with driver.client() as client:
        for number in range(SUBJECTS):
            body = {"subject": f"{name}-{number}", "version": "1"}
            answer = await client.post(f"{driver.urls[0]}/api/gates/release/runs", json=body, headers=headers)
            assert answer.status_code == 201, answer.text
    async with asyncio.timeout(30):
        while await inside.fetchval(BOARDS, f"{name}-%") < SUBJECTS:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def held(database_url: str, table: str) -> AsyncIterator[None]:
    """Nobody can write to a table of the tracker's."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE tracker.{table} IN SHARE MODE")
            yield
    finally:
        await connection.close()


async def kill_tracker(local: LocalStack) -> None:
    """Kill -9; it is fresh to its supervisor, which would else wait longer after each death."""
    await asyncio.to_thread(local.resume, "tracker")
    await asyncio.to_thread(local.kill, "tracker")


async def settle(local: LocalStack, driver: Driver) -> World:
    """Wait until all is done, and read what is there of this driver's doing; what was told and given is of all."""
    await driver.send(driver.plan(signals=5, escalations=2, assigns=1))
    await drain(local.servers.database_url, local.servers.nats_url)
    world = await read_world(local.servers.database_url)
    mine = {attempt.marker for attempt in driver.attempts} | {attempt.command_id for attempt in driver.attempts}
    world.signals = [row for row in world.signals if row.key in mine]
    world.sent = {run: command for run, command in world.sent.items() if command in mine}
    world.runs = [row for row in world.runs if row.key in mine or row.key in world.sent]
    world.run_numbers = []  # they count per subject
    world.escalations = [row for row in world.escalations if row.key in mine]
    world.assignments = [row for row in world.assignments if row.key in mine]
    world.flights = [row for row in world.flights if row.key in mine]
    return world


def one(driver: Driver, kind: Kind) -> list[Attempt]:
    """One piece of such work, of a subject of its own where it is a sync."""
    return driver.plan(
        escalations=kind == "escalate", assigns=kind == "assign", syncs=kind == "sync", flights=kind == "fly"
    )


@pytest.mark.parametrize(("kind", "place"), BEFORE)
async def test_killed_before_it_writes(local: LocalStack, inside: asyncpg.Connection, kind: Kind, place: str) -> None:
    driver = Driver([local.gateway_url], local.token, wait_s=60, new_boards=True)
    await open_items(driver, inside, f"before-{kind}-{place}")
    before = await inside.fetchval(DONE[kind])
    async with held(local.servers.database_url, place):
        running = asyncio.create_task(driver.send(one(driver, kind)))
        async with asyncio.timeout(30):
            while not await inside.fetchval(WAITING, f"tracker.{place}"):
                await asyncio.sleep(0.01)
        await kill_tracker(local)
    assert await inside.fetchval(DONE[kind]) == before, "nothing of it is there"
    await ended_well(local, inside, driver, running, kind, before)


@pytest.mark.parametrize(("kind", "moment", "message"), AFTER)
async def test_killed_before_anybody_hears(
    local: LocalStack, inside: asyncpg.Connection, halt: Path, kind: Kind, moment: Moment, message: str
) -> None:
    # The outcome of a sync comes with an event, whose repeat tells nobody: it is to be had where the 202 says.
    waits_in_vain = (moment, message) == ("tell", gate_decided.type)
    driver = Driver([local.gateway_url], local.token, wait_s=5 if waits_in_vain else 60, new_boards=True)
    await open_items(driver, inside, f"after-{kind}-{moment}-{message == gate_decided.type}")
    before = await inside.fetchval(DONE[kind])
    halted.order(halt, moment, message)
    running = asyncio.create_task(driver.send(one(driver, kind)))
    async with asyncio.timeout(30):
        while halted.stands(halt):
            await asyncio.sleep(0.01)
    if message != sync_board.type:  # which only asks
        assert await inside.fetchval(DONE[kind]) > before, "all of it is there"
    await kill_tracker(local)
    await ended_well(local, inside, driver, running, kind, before, unanswered=int(waits_in_vain))
    if waits_in_vain:
        async with driver.client() as client:
            url = f"{local.gateway_url}/api/commands/tracker.{driver.attempts[0].command_id}"
            outcome = (await client.get(url, headers={"Authorization": f"Bearer {local.token}"})).json()
        assert (outcome["state"], outcome["result"]["created_count"] >= RULES) == ("done", True)


async def ended_well(
    local: LocalStack,
    inside: asyncpg.Connection,
    driver: Driver,
    running: asyncio.Task[None],
    kind: Kind,
    before: int,
    unanswered: int = 0,
) -> None:
    """The next process answers whoever waited, and all is there once."""
    await asyncio.to_thread(local.wait_ready)
    await running
    done = await inside.fetchval(DONE[kind])
    assert done - before >= (RULES if kind == "sync" else RULES * SUBJECTS)
    world = await settle(local, driver)
    assert check(driver.attempts, world, driver.heads) == []
    assert driver.answers() == {
        "acknowledged": len(driver.attempts) - unanswered, "refused": 0, "unknown": unanswered,
    }, "whoever waited was answered by the next process"  # fmt: skip
    assert len(world.steps) == await inside.fetchval(DONE["escalate"]), "every escalation's first step, and each once"


async def test_killed_at_any_moment(local: LocalStack, inside: asyncpg.Connection) -> None:
    rng, driver = random.Random(SEED), Driver([local.gateway_url], local.token, new_boards=True)
    cut = 0
    for number in range(ROUNDS):
        await open_items(driver, inside, f"any-{number}")
        attempts = driver.plan(signals=4, escalations=8, assigns=8, syncs=8, flights=4)
        running = asyncio.create_task(driver.send(attempts))
        await asyncio.sleep(rng.random() * 0.25)
        await kill_tracker(local)
        cut += sum(not attempt.status for attempt in attempts)
        await asyncio.to_thread(local.wait_ready)
        await running
    world = await settle(local, driver)
    sys.stdout.write(
        f"tracker, {ROUNDS} times: {driver.summary()}; {cut} were in flight; {len(world.steps)} steps told, "
        f"{world.gave} items given\n"
    )
    assert check(driver.attempts, world, driver.heads) == []
    assert cut >= ROUNDS
    items = await inside.fetchval(ITEMS)
    assert (len(world.steps), world.gave) == (items, items), "every item's first step, every item's person, each once"
