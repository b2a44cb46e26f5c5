"""Kill -9 in the middle of archiving a record: its file lies in the store, and no row says so. It does not count."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from deploy.local import LocalStack
from tests.local_traffic import await_that, client, started

pytestmark = [pytest.mark.integration, pytest.mark.faults]
DEPLOY = "/api/ops/deploy"
# Whoever asks the bucket first and the table then waits at the table: that is the middle.
HELD = "LOCK TABLE operations.archive IN EXCLUSIVE MODE"
WAITS = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'operations.archive'::regclass
"""
LEFT = """
SELECT (SELECT count(*) FROM operations.deployment WHERE deploy_id = $1) AS deployments,
    (SELECT count(*) FROM operations.archive WHERE kind = 'deploy_smoke') AS archives,
    (SELECT count(*) FROM operations.job_run WHERE job_name = 'deploy_smoke') AS runs
"""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack whose parts may be killed."""
    tmp_path.chmod(0o700)
    made = LocalStack(tmp_path / "data")
    with started(made):
        yield made


async def killed_in_the_middle(local: LocalStack, http: httpx2.Client) -> httpx2.Response:
    """Record a test, kill the service while it waits between store and table, and return what the caller got."""
    holder = await asyncpg.connect(local.servers.database_url)
    watcher = await asyncpg.connect(local.servers.database_url)
    answers: list[httpx2.Response] = []
    held = holder.transaction()
    await held.start()
    await holder.execute(HELD)

    def send() -> None:
        body = {"deploy_id": "cut", "rollback_ready": True}
        answers.append(http.post(f"{DEPLOY}/smoke/record", json=body, headers={"Prefer": "wait=1"}))

    sending = threading.Thread(target=send)
    sending.start()
    async with asyncio.timeout(20):
        while not await watcher.fetchval(WAITS):
            await asyncio.sleep(0.01)
    await asyncio.to_thread(local.kill, "operations")
    before = await watcher.fetchrow(LEFT, "cut")
    assert tuple(before or ()) == (0, 0, 0)
    await held.rollback()
    await asyncio.to_thread(sending.join)
    await holder.close()
    await watcher.close()
    return answers[0]


async def left(local: LocalStack) -> Any:
    connection = await asyncpg.connect(local.servers.database_url)
    try:
        return tuple(await connection.fetchrow(LEFT, "cut") or ())
    finally:
        await connection.close()


def test_what_was_cut_off_is_done_once_and_whole(local: LocalStack) -> None:
    with client(local) as http:
        answer = asyncio.run(killed_in_the_middle(local, http))
        assert answer.status_code == 202, answer.text  # accepted: it is done when the service is back

        def done() -> Any:
            found = http.get(f"{DEPLOY}/deployments", params={"deploy_id": "cut"})
            return found.json()["items"] if found.status_code == 200 else None

        (row,) = await_that("the record", done)
        assert asyncio.run(left(local)) == (1, 1, 1)
        shown = http.get(f"{DEPLOY}/deployments/{row['run_id']}").json()
        file = http.get(f"{DEPLOY}/deployments/{row['run_id']}/artifact")
        assert file.status_code == 200, file.text
        assert len(file.content) == shown["detail"]["artifact_archive"]["size_bytes"]
        checks = {one["id"]: one for one in http.get("/api/ops/runbook/checks").json()["checks"]}
        assert checks["deploy_smoke_checklist"]["detail"]["run_id"] == row["run_id"]
