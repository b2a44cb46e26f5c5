"""Two trackers, two jobs every second for a minute, kill -9 of one: every instant has one run, none has two."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import asyncpg
import httpx2
import pytest

from deploy.embedded import free_ports
from deploy.local.process import ServiceProcess
from deploy.local.servers import is_ready
from deploy.local.stack import LocalStack, silent
from libs.common.roster import SERVICES, place

pytestmark = pytest.mark.faults
JOBS = ("fold_kpi", "ops_governance_remediation_escalation")  # for all sites together; in each site by itself
SCHEDULES = json.dumps({f"tracker.{job}": "* * * * * *" for job in JOBS})
BOARDS = "SELECT count(*) FROM tracker.board"
STEPS = "SELECT count(*), count(DISTINCT (item, episode, level, repeat)) FROM tracker.escalation_step"
TOLD = "SELECT count(*) FROM tracker.outbox WHERE name = 'tracker.escalation.raised'"
SECONDS, KILLED_AT = 60, (15, 35)


@pytest.fixture
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("ticks") / "data", env={"HEADGATE_SCHEDULES": SCHEDULES})
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def twin(local: LocalStack) -> Iterator[int]:
    """A second tracker; the port of its health page."""
    port = free_ports(len(SERVICES))
    environment = {
        **local.servers.environment("tracker"),
        "HEADGATE_HTTP_PORT": str(port),
        "HEADGATE_SCHEDULES": SCHEDULES,
    }
    process = ServiceProcess("tracker", environment, local.data_dir / "logs" / "tracker-2.log", silent)
    try:
        yield port + place("tracker")
    finally:
        process.terminate()
        process.stop()


async def work(local: LocalStack, connection: asyncpg.Connection) -> None:
    """A board whose items are nearly due, so that the escalation has a site and something to tell."""
    headers = {"Authorization": f"Bearer {local.token}"}
    async with httpx2.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{local.gateway_url}/api/gates/operations/runs", json={}, headers=headers)
    assert answer.status_code == 201, answer.text
    async with asyncio.timeout(30):
        while not await connection.fetchval(BOARDS):
            await asyncio.sleep(0.05)


async def test_every_second_has_one_run_through_a_kill(local: LocalStack, twin: int) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(is_ready, "127.0.0.1", twin):
            await asyncio.sleep(0.1)
    connection = await asyncpg.connect(local.servers.database_url)
    try:
        await work(local, connection)
        start = await connection.fetchval("SELECT now()")
        for second in range(SECONDS):
            if second in KILLED_AT:  # the supervisor starts it again; the twin goes on meanwhile
                await asyncio.to_thread(local.kill, "tracker")
            await asyncio.sleep(1)
        end = await connection.fetchval("SELECT now()")
        await asyncio.sleep(3)
        for job in JOBS:
            await each_has_one_run(connection, job, start, end)
        (row,) = await connection.fetch(STEPS)
        steps, different = row
        assert steps == different == await connection.fetchval(TOLD) > 0, "and what each of them tells, it tells once"
    finally:
        await connection.close()


async def each_has_one_run(connection: asyncpg.Connection, job: str, start: datetime, end: datetime) -> None:
    async with connection.transaction(isolation="repeatable_read"):
        rows = await connection.fetch("SELECT due_at FROM tracker.job_tick WHERE job_name = $1", job)
        runs = await connection.fetchval(
            "SELECT count(*) FROM tracker.job_run WHERE job_name = $1 AND status <> 'failed'", job
        )
    counted = Counter(row["due_at"] for row in rows)
    first = start.replace(microsecond=0) + timedelta(seconds=2)
    wanted = [first + timedelta(seconds=number) for number in range(int((end - first).total_seconds()) - 1)]
    assert len(wanted) >= SECONDS - 5
    assert [instant for instant in wanted if counted[instant] != 1] == []
    assert runs == len(rows)
