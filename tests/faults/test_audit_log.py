"""Kill -9 of the writer of the audit log, again and again under load: no number is missing or given twice, and every
checkpoint that was ever handed out is a prefix of the final tree."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.local.stack import LocalStack
from libs.tlog.digests import entry_digest
from libs.tlog.notes import Checkpoint, Verifier, read_checkpoint
from libs.tlog.tiles import Growth
from tests.local_traffic import client

pytestmark = pytest.mark.faults
KILLS, PAUSE_S, SETTLE_S = 50, 1.0, 120.0
AT_ONCE, MOST = 100, 60_000


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


async def _load(http: httpx2.AsyncClient, ended: asyncio.Event) -> int:
    """Signals, each of which becomes an event, until told to stop; how many were taken."""
    sent = 0
    while not ended.is_set() and sent < MOST:
        events = [
            {"specversion": "1.0", "id": f"a-{sent + n}", "source": "/faults", "type": "ops.security", "data": {"n": n}}
            for n in range(AT_ONCE)
        ]
        headers = {"Content-Type": "application/cloudevents-batch+json", "Idempotency-Key": f"audit-{sent}"}
        answer = await http.post("/api/signals", json=events, headers=headers)
        assert answer.status_code < 300, answer.text
        sent += AT_ONCE
        await asyncio.sleep(0.5)  # so that the log can follow on a busy machine
    return sent


async def _collect(http: httpx2.AsyncClient, notes: set[str], ended: asyncio.Event) -> None:
    """Every checkpoint that anybody could have got."""
    while not ended.is_set():
        try:
            answer = await http.get("/audit/checkpoint")
            if answer.status_code == 200:
                notes.add(answer.text)
        except httpx2.HTTPError:
            pass
        await asyncio.sleep(0.05)


async def _harm(local: LocalStack) -> tuple[int, set[str]]:
    ended, notes = asyncio.Event(), set[str]()
    headers = {"Authorization": f"Bearer {local.token}"}
    async with httpx2.AsyncClient(base_url=local.gateway_url, headers=headers, timeout=30, trust_env=False) as http:
        loading = asyncio.create_task(_load(http, ended))
        collecting = asyncio.create_task(_collect(http, notes, ended))
        for _ in range(KILLS):
            await asyncio.sleep(PAUSE_S)
            await asyncio.to_thread(local.kill, "audit")
            await asyncio.to_thread(local.resume, "audit")  # at once: the supervisor waits longer each time
            await asyncio.to_thread(local.wait_ready)
        ended.set()
        await collecting
        return await loading, notes


def _settled(http: httpx2.Client, at_least: int) -> dict[str, Any]:
    """The log when all is in it and signed."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        state: dict[str, Any] = http.get("/api/audit/log").json()
        if state.get("state") == "signed" and state["entry_count"] >= at_least:
            return state
        assert time.monotonic() < deadline, f"{at_least} signals were taken, and the log says {state}"
        time.sleep(0.2)


def _entries(http: httpx2.Client, size: int) -> list[dict[str, Any]]:
    """The first ``size`` entries, oldest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = str(size + 1)
    while cursor:
        page = http.get("/api/audit/entries", params={"limit": 500, "cursor": cursor}).json()
        found += page["items"]
        cursor = page["next_cursor"]
    return found[::-1]


def test_no_kill_of_the_writer_forks_the_log(local: LocalStack) -> None:
    began = time.monotonic()
    sent, notes = asyncio.run(_harm(local))
    with client(local) as http:
        state = _settled(http, sent)
        entries = _entries(http, state["entry_count"])
        verified = http.get("/api/audit/verify", params={"limit": 100_000}).json()  # more than there are
        told = [entry for entry in entries if entry["type"] == "headgate.governance.signal.recorded.v1"]
        signals = [entry for entry in told if entry["actor"] == "owner"]  # services tell how they stand, too
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len({entry["event_id"] for entry in entries}) == len(entries)
    assert len(signals) == sent
    # That the entries were read, and other counts of a minute, are entries themselves, and come meanwhile.
    assert verified["valid"]
    assert verified["checked_count"] >= len(entries)

    key = Verifier.read(state["verifier"])
    points: dict[int, Checkpoint] = {}
    for note in (*notes, state["checkpoint"]):
        point = read_checkpoint(note, [key])
        assert points.setdefault(point.size, point) == point, "two roots of one size were signed"
    grown = Growth()
    for entry in [None, *entries]:
        if entry is not None:
            grown.add([entry_digest(entry)])
        if (wanted := points.pop(grown.size, None)) is not None:
            assert grown.root() == wanted.root, f"the checkpoint of size {wanted.size} is no prefix of the log"
    assert points == {}
    assert len(notes) > KILLS // 2  # it signs about once a second, and is killed about as often
    sys.stdout.write(
        f"audit: {KILLS} kills in {time.monotonic() - began:.0f} s, {len(entries)} entries, "
        f"{len(notes)} checkpoints handed out, all prefixes\n"
    )
