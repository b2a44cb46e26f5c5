"""Kill -9 of the tracker in the midst of its own work: what an escalation tells, it tells once."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from deploy.local.stack import LocalStack
from tests.faults.checker import check
from tests.faults.driver import Driver
from tests.faults.world import World, drain, read_world

pytestmark = pytest.mark.faults
SUBJECTS = 12  # whose release gate is judged in a round; nothing is known of them, so every rule fails
# What the run of an escalation writes, in this order; it is killed while it waits to write there.
PLACES = ("frozen_chain", "escalation_step", "job_run", "outbox")
SEED = 20260301
WAITING = "SELECT count(*) FROM pg_locks WHERE relation = $1::regclass AND NOT granted"
BEGUN = "SELECT count(*) FROM tracker.escalation"
ITEMS = "SELECT count(*) FROM tracker.item WHERE is_active"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("jobs") / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
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
    before = await inside.fetchval(ITEMS)
    headers = {"Authorization": f"Bearer {driver.token}"}
    async with driver.client() as client:
        for number in range(SUBJECTS):
            body = {"subject": f"{name}-{number}", "version": "1"}
            answer = await client.post(f"{driver.urls[0]}/api/gates/release/runs", json=body, headers=headers)
            assert answer.status_code == 201, answer.text
    async with asyncio.timeout(30):
        while await inside.fetchval(ITEMS) < before + 3 * SUBJECTS:
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
    """Wait until all is done, and read what is there of this driver's doing; what escalations told is of all."""
    await driver.send(driver.plan(signals=5, escalations=2))
    await drain(local.servers.database_url, local.servers.nats_url)
    world = await read_world(local.servers.database_url)
    mine = {attempt.marker for attempt in driver.attempts} | {attempt.command_id for attempt in driver.attempts}
    world.signals = [row for row in world.signals if row.key in mine]
    world.runs = [row for row in world.runs if row.key in mine]
    world.run_numbers = []  # they count per subject
    world.escalations = [row for row in world.escalations if row.key in mine]
    return world


@pytest.mark.parametrize("place", PLACES)
async def test_killed_before_it_writes(local: LocalStack, inside: asyncpg.Connection, place: str) -> None:
    driver = Driver([local.gateway_url], local.token, wait_s=60)
    await open_items(driver, inside, f"before-{place}")
    begun = await inside.fetchval(BEGUN)
    async with held(local.servers.database_url, place):
        running = asyncio.create_task(driver.send(driver.plan(escalations=1)))
        async with asyncio.timeout(30):
            while not await inside.fetchval(WAITING, f"tracker.{place}"):
                await asyncio.sleep(0.01)
        await kill_tracker(local)
    assert await inside.fetchval(BEGUN) == begun, "nothing of it is there"
    await asyncio.to_thread(local.wait_ready)
    await running
    world = await settle(local, driver)
    assert check(driver.attempts, world, driver.heads) == []
    assert driver.answers()["acknowledged"] == len(driver.attempts), "whoever waited was answered by the next process"
    assert len(world.steps) == await inside.fetchval(BEGUN) >= begun + 3 * SUBJECTS


async def test_killed_at_any_moment(local: LocalStack, inside: asyncpg.Connection) -> None:
    rng, driver = random.Random(SEED), Driver([local.gateway_url], local.token)
    cut = 0
    for number in range(4):
        await open_items(driver, inside, f"any-{number}")
        attempts = driver.plan(signals=4, escalations=12)
        running = asyncio.create_task(driver.send(attempts))
        await asyncio.sleep(rng.random() * 0.25)
        await kill_tracker(local)
        cut += sum(not attempt.status for attempt in attempts)
        await asyncio.to_thread(local.wait_ready)
        await running
    world = await settle(local, driver)
    sys.stdout.write(f"tracker, 4 times: {driver.summary()}; {cut} were in flight; {len(world.steps)} steps told\n")
    assert check(driver.attempts, world, driver.heads) == []
    assert cut >= 4
    assert len(world.steps) == await inside.fetchval(ITEMS), "every item's first step, and each once"
