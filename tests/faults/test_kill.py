"""Kill -9 of any one part during a burst: every request that got 2xx is in its service and in the audit log once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from libs.common.roster import SERVICES
from tests.faults.checker import check
from tests.faults.driver import Driver
from tests.faults.world import drain, read_world

pytestmark = pytest.mark.faults
PARTS = (*SERVICES, "nats", "postgres")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    # Each part's burst is of the same user: the limit of a minute is not what is tried here.
    stack = LocalStack(tmp_path_factory.mktemp("kill") / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


async def burst(local: LocalStack, part: str, signals: int, gates: int) -> tuple[Driver, float]:
    """Send a burst, kill the part in its midst, wait until all is ready again and drained."""
    driver = Driver([local.gateway_url], local.token)
    tenth = gates // 5
    attempts = driver.plan(signals, gates, refusals=tenth, reports=tenth, unreadable=tenth, escalations=tenth)
    await driver.note_head()
    sending = asyncio.create_task(driver.send(attempts))
    while sum(attempt.status > 0 for attempt in attempts) < len(attempts) // 4:
        await asyncio.sleep(0.005)
    killed = time.monotonic()
    await asyncio.to_thread(local.kill, part)
    await asyncio.to_thread(local.wait_ready)
    recovered_s = time.monotonic() - killed
    await sending
    await driver.note_head()
    # Whatever was cut off: the stack must take new work at once.
    await driver.send(driver.plan(20, 2))
    await drain(local.servers.database_url, local.servers.nats_url)
    return driver, recovered_s


@pytest.mark.parametrize("part", PARTS)
async def test_kill_9_in_a_burst_loses_and_doubles_nothing(local: LocalStack, part: str, tmp_path: Path) -> None:
    driver, recovered_s = await burst(local, part, signals=500, gates=50)
    world = await read_world(local.servers.database_url)
    mine = {attempt.marker for attempt in driver.attempts} | {attempt.command_id for attempt in driver.attempts}
    world.signals = [row for row in world.signals if row.key in mine]
    world.reports = [row for row in world.reports if row.key in mine]
    world.unreadable = [row for row in world.unreadable if row.key in mine]
    world.runs = [row for row in world.runs if row.key in mine]
    world.escalations = [row for row in world.escalations if row.key in mine]
    problems = check(driver.attempts, world, driver.heads) + await driver.originals()
    sys.stdout.write(f"{part}: {driver.summary()}; ready after {recovered_s:.1f} s\n")
    assert problems == []
    acknowledged = [attempt for attempt in driver.attempts if attempt.answer == "acknowledged"]
    assert len(acknowledged) > len(driver.attempts) // 5, driver.summary()
