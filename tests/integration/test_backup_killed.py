"""kill -9 at each stage: nothing half-done counts; the next one sees what is left, and sweeps it or does it again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.backup import restore as restoring
from deploy.backup import scratch, streams
from deploy.backup.create import Told, create
from deploy.backup.files import Pace
from deploy.backup.rehearse import rehearse
from deploy.backup.restore import restore
from deploy.backup.store import Found, Store
from libs.common import admin
from services.audit.service import make_service as make_audit
from tests.integration.audit_desk import record, verified
from tests.integration.backup_desk import NO_KEYS, source_of, wait_for, worker_environment
from tests.stack import PASSWORDS, Stack

pytestmark = [pytest.mark.integration, pytest.mark.faults]

# Logins belong to the whole server, which other tests use, too: they keep the passwords that they have there.
PROGRAM = f"""
import sys
from deploy.backup import restore
restore.passwords = lambda *_: {PASSWORDS!r}
from deploy.backup.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Place:
    """An installation with a backup, a bus for rehearsals, and a process that will be killed."""

    stack: Stack
    store: Store
    made: Found
    bus_url: str
    environment: dict[str, str] = field(default_factory=dict)

    async def kill_when(self, seen: Callable[[], Awaitable[bool]], *arguments: str) -> None:
        """Start ``python -m deploy.backup …`` and kill it at the moment when this is seen."""
        with self._start(*arguments) as process:

            async def looked() -> bool:
                assert process.poll() is None, "it ended before it could be killed"
                return await seen()

            try:
                await wait_for(looked)
            finally:
                process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], env=self.environment)

    async def rehearsed(self) -> bool:
        """Whether a rehearsal on the same bus is valid now."""
        found = self.store.look(self.made.backup_id)
        done = await rehearse(
            source_of(self.stack), self.store, NO_KEYS, Told(), found=found, bus_url=self.bus_url, pace=Pace()
        )
        assert done.problems == []
        return done.restore_valid

    async def databases(self) -> list[str]:
        """Scratch databases that there are."""
        connection = await self.stack.superuser()
        try:
            return [row["datname"] for row in await connection.fetch(scratch.SELECT_LEFT, "headgate_scratch_")]
        finally:
            await connection.close()

    async def messages(self) -> int | None:
        """Of the telemetry on the bus for rehearsals; None without the stream."""
        client = await streams.connect(self.bus_url)
        try:
            state = await streams.state(client, self.stack.topology.telemetry_stream)
            return state.messages if state else None
        finally:
            await client.close()


@pytest_asyncio.fixture
async def place(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(restoring, "passwords", lambda *_: PASSWORDS)
    await stack.start(make_audit(None))
    await record(stack, 10)
    await stack.idle("audit")
    await stack.stop("audit")
    for _ in range(4):
        await stack.bus.js.publish(f"{stack.topology.namespace}.telemetry.a.b.c", os.urandom(700_000))
    store = Store(tmp_path / "backups")
    made = await create(source_of(stack), store, NO_KEYS, datetime.now(UTC), Told(), Pace())
    with scratch._private(tmp_path / "bus") as url:
        environment = worker_environment(stack, store.root) | {"HEADGATE_REHEARSAL_NATS_URL": url}
        yield Place(stack, store, made, url, environment)


async def test_a_backup(place: Place) -> None:
    async def half() -> bool:
        return any(one.stat().st_size for one in place.store.root.glob(".partial-*/*TELEMETRY.stream"))

    await place.kill_when(half, "create", "--max-mib-s=1")
    assert place.store.all() == [place.made]
    with place.store.writing():  # whoever writes next
        assert not list(place.store.root.glob(".partial-*"))


async def test_a_rehearsal_while_it_makes_its_backup(place: Place) -> None:
    async def half() -> bool:
        return any(one.stat().st_size for one in place.store.root.glob(".partial-*/*TELEMETRY.stream"))

    await place.kill_when(half, "rehearse", "--max-mib-s=1", "--no-report")
    assert place.store.all() == [place.made]
    assert await place.databases() == []
    assert await place.rehearsed()


async def test_a_rehearsal_while_it_restores_the_database(place: Place) -> None:
    async def begun() -> bool:
        return bool(await place.databases())

    await place.kill_when(begun, "rehearse", place.made.backup_id, "--max-mib-s=1", "--no-report")
    assert await place.databases()
    assert await place.rehearsed()
    assert await place.databases() == []


async def test_a_rehearsal_while_it_restores_streams(place: Place) -> None:
    async def there() -> bool:
        return await place.messages() is not None

    await place.kill_when(there, "rehearse", place.made.backup_id, "--max-mib-s=1", "--no-report")
    assert await place.rehearsed()  # on the bus that still holds what the dead one has left
    assert await place.messages() is None
    assert await place.databases() == []


async def test_a_restore(place: Place) -> None:
    stack = place.stack

    async def marked() -> bool:
        connection = await stack.superuser()
        try:
            return bool(await connection.fetchval(admin.UNFINISHED))
        finally:
            await connection.close()

    await place.kill_when(marked, "restore", place.made.backup_id, "--replace")
    with pytest.raises(admin.AdminError, match="was not finished"):
        await admin.prepare(stack.database_url, stack.nats_url, stack.topology.namespace, PASSWORDS)
    await restore(place.made, source_of(stack), NO_KEYS, Told(), replace=False)
    await admin.prepare(stack.database_url, stack.nats_url, stack.topology.namespace, PASSWORDS)
    await stack.start(make_audit(None))
    assert (await verified(stack))["head_seq"] == 10
