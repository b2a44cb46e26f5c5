"""Kill -9 while deliveries go out: every one arrives, each has one row, and the signing secret is in no file."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from deploy.local.stack import LocalStack
from tests.local_traffic import client
from tests.receiver import Receiver

pytestmark = pytest.mark.faults
EVENTS, AT_ONCE = 5_000, 250
PARTS = ("notifier", "postgres", "nats", "notifier")
WAIT_S = 150.0  # a lease of 45 s may have to end


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(
        tmp_path_factory.mktemp("deliveries") / "data",
        env={"HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]', "HEADGATE_REQUESTS_PER_MINUTE": "1000000"},
    )
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def _send(http: httpx2.Client, first: int) -> None:
    """Some signals, each of which becomes an event."""
    events = [
        {"specversion": "1.0", "id": f"d-{number}", "source": "/faults", "type": "ops.security", "data": {"n": number}}
        for number in range(first, first + AT_ONCE)
    ]
    headers = {"Content-Type": "application/cloudevents-batch+json", "Idempotency-Key": f"batch-{first}"}
    for _ in range(40):
        try:
            if http.post("/api/signals", json=events, headers=headers).status_code < 300:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError("the signals were not taken")


async def _rows(local: LocalStack) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(local.servers.database_url)
    try:
        return await connection.fetch(
            "SELECT event_id, subscription_id, state FROM notifier.delivery"
            " WHERE event_name = 'governance.signal.recorded'"
        )
    finally:
        await connection.close()


def _files_with(folder: Path, text: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_kill_9_among_deliveries_loses_none_and_doubles_no_row(local: LocalStack) -> None:
    with Receiver(slow_s=0.02) as receiver, client(local) as http:
        body = {
            "name": "faults", "event_types": ["governance.signal.recorded"], "endpoint": receiver.url,
            "condition": "event.actor == 'owner'",  # services tell how they stand, too
        }  # fmt: skip
        made = http.post("/api/subscriptions", json=body)
        assert made.status_code == 201, made.text
        for first in range(0, EVENTS, AT_ONCE):
            _send(http, first)
        for part in PARTS:
            seen = len(receiver.got)
            deadline = time.monotonic() + 30
            while len(receiver.got) < min(seen + 50, EVENTS) and time.monotonic() < deadline:
                time.sleep(0.01)
            local.kill(part)
            local.wait_ready()
        deadline = time.monotonic() + WAIT_S
        while True:
            rows = asyncio.run(_rows(local))
            if len(rows) == EVENTS and all(row["state"] == "delivered" for row in rows):
                break
            assert time.monotonic() < deadline, Counter(row["state"] for row in rows)
            time.sleep(0.5)
        ids = Counter(one.headers["webhook-id"] for one in receiver.got)
    assert set(ids) == {f"{row['event_id']}-{row['subscription_id']}" for row in rows}
    sys.stdout.write(f"{EVENTS} deliveries, {sum(ids.values()) - EVENTS} sent again, killed {', '.join(PARTS)}\n")
    assert _files_with(local.data_dir, made.json()["signing_secret"].encode()) == []
