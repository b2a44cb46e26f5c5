"""Kill -9 of the audit service in each piece of a verification: it goes on behind what was stored, and ends."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from deploy.local.stack import LocalStack
from tests.faults.test_audit_log import AT_ONCE, _settled
from tests.local_traffic import client

pytestmark = pytest.mark.faults
SIGNALS = 12_000
INTO_A_PIECE_S = 0.1


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def _fill(http: httpx2.Client) -> None:
    for sent in range(0, SIGNALS, AT_ONCE):
        events = [
            {"specversion": "1.0", "id": f"a-{sent + n}", "source": "/faults", "type": "ops.security", "data": {"n": n}}
            for n in range(AT_ONCE)
        ]
        headers = {"Content-Type": "application/cloudevents-batch+json", "Idempotency-Key": f"audit-{sent}"}
        answer = http.post("/api/signals", json=events, headers=headers)
        assert answer.status_code < 300, answer.text


async def _harm(local: LocalStack, number: int) -> tuple[list[int], set[int], str]:
    """Kill it once in each piece; how far it was said to be all the time, where it was killed, and how it ended."""
    connection = await asyncpg.connect(local.servers.database_url)
    seen: list[int] = []
    killed: set[int] = set()
    try:
        async with asyncio.timeout(180):
            while True:
                [row] = await connection.fetch(
                    "SELECT checked, status FROM audit.verification WHERE number = $1", number
                )
                seen.append(row["checked"])
                if row["status"] != "running":
                    return seen, killed, row["status"]
                if row["checked"] not in killed:
                    killed.add(row["checked"])
                    await asyncio.sleep(INTO_A_PIECE_S)
                    await asyncio.to_thread(local.kill, "audit")
                    await asyncio.to_thread(local.resume, "audit")
                await asyncio.sleep(0.002)
    finally:
        await connection.close()


def test_a_verification_goes_on_behind_a_kill(local: LocalStack) -> None:
    with client(local) as http:
        _fill(http)
        state = _settled(http, SIGNALS)
        began = time.monotonic()
        number = http.post("/api/audit/verifications", json={}).json()["number"]
        seen, killed, status = asyncio.run(_harm(local, number))
        local.wait_ready()
        found = http.get(f"/api/audit/verifications/{number}").json()
    assert status == "valid", found
    assert seen == sorted(seen)
    assert len(killed) >= 2
    assert found["checked_count"] == found["total_count"] >= state["entry_count"]
    sys.stdout.write(
        f"verification: {len(killed)} kills in {time.monotonic() - began:.1f} s, {found['checked_count']} entries\n"
    )
