"""Backups of a small installation whose services live in this process: order, damage, keys, and death half-way."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.backup import create as creating
from deploy.backup import restore as restoring
from deploy.backup import streams
from deploy.backup.create import Source, Told, create
from deploy.backup.files import Pace
from deploy.backup.manifest import BackupError, encode
from deploy.backup.restore import restore
from deploy.backup.sealing import Keys
from deploy.backup.store import PARTIAL, Found, Store
from libs.common import admin
from libs.common.contracts.gateway.sites import create_site, site_created
from services.audit.service import make_service as make_audit
from services.gateway.service import SERVICE as GATEWAY
from tests.integration.audit_desk import record, verified
from tests.integration.backup_desk import NO_KEYS, source_of, wait_for, worker
from tests.stack import PASSWORDS, Stack
from tests.unit.deploy.backups import folder_of

pytestmark = [pytest.mark.integration, pytest.mark.whole]

KEYS = Keys((b"k" * 32,))


@pytest.fixture(autouse=True)
def _own_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins belong to the whole server, which other tests use, too: they keep the passwords that they have there."""
    monkeypatch.setattr(restoring, "passwords", lambda *_: PASSWORDS)


async def _backup(stack: Stack, store: Store, keys: Keys = NO_KEYS) -> Found:
    return await create(source_of(stack), store, keys, datetime.now(UTC), Told(), Pace())


async def _count(stack: Stack, sql: str) -> Any:
    connection = await stack.superuser()
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("keys", [Keys(), KEYS])
async def test_all_is_back_and_goes_on(stack: Stack, tmp_path: Path, keys: Keys) -> None:
    await stack.start(make_audit(None))
    await record(stack, 300)
    await stack.idle("audit")
    before = await verified(stack)
    await stack.stop("audit")
    store = Store(tmp_path)
    made = await _backup(stack, store, keys)
    assert made.manifest is not None
    assert made.manifest.audit_head.hash == before["head_hash"]
    assert made.manifest.tables["audit.entry"].rows == 300
    assert made.manifest.key_id == keys.current_id
    assert b"headgate.gateway" not in (folder_of(made) / "database.dump").read_bytes()
    assert store.check(made, keys, stack.clock(), lambda _: None) == []
    # More happens, and then all of it goes back to the backup.
    await stack.start(make_audit(None))
    await record(stack, 20)
    await stack.idle("audit")
    await stack.stop("audit")
    with pytest.raises(BackupError, match="is not empty"):
        await restore(made, source_of(stack), keys, Told(), replace=False)
    done = await restore(made, source_of(stack), keys, Told(), replace=True)
    assert (done.audit_seq, done.audit_hash, done.notes) == (300, before["head_hash"], [])
    await stack.start(make_audit(None))
    after = await verified(stack)
    assert (after["valid"], after["head_seq"], after["head_hash"]) == (True, 300, before["head_hash"])
    await record(stack, 5)
    await stack.idle("audit")
    assert (await verified(stack))["head_seq"] == 305


async def test_what_moves_between_the_two_copies_is_neither_lost_nor_done_twice(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command waits when the bus is copied; before the database is, it is applied, and told to a log that is away."""
    sites = [await stack.post(create_site, {"site": f"site-{n}", "title": "S"}) for n in range(3)]
    real = creating._Making._database

    async def later(self: Any, *arguments: Any) -> Any:
        await stack.start(GATEWAY)
        for one in sites:
            assert (await stack.outcome(one)).status == 201
        await stack.idle("gateway")
        await stack.stop("gateway")
        return await real(self, *arguments)

    monkeypatch.setattr(creating._Making, "_database", later)
    made = await _backup(stack, Store(tmp_path))
    assert made.manifest is not None
    assert made.manifest.streams[stack.topology.commands_stream].messages == 3
    assert made.manifest.streams[stack.topology.events_stream].messages == 0
    assert await _count(stack, "SELECT count(*) FROM gateway.outbox WHERE sent_at IS NULL") == 0
    await restore(made, source_of(stack), Keys(), Told(), replace=True)
    await stack.start(GATEWAY, make_audit(None))
    await stack.heard(site_created)
    for service in ("gateway", "audit"):
        await stack.idle(service)
    told = f"SELECT count(*) FROM audit.entry WHERE type = '{site_created.type}'"
    assert await _count(stack, told) == 3
    assert await _count(stack, "SELECT count(*) FROM gateway.sites WHERE site LIKE 'site-%'") == 3


async def test_damage_is_named_and_nothing_is_restored_from_it(stack: Stack, tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = await _backup(stack, store)
    assert made.manifest is not None
    for part in made.manifest.parts:
        file = folder_of(made) / part.file
        good = file.read_bytes()
        file.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
        problems = store.check(made, Keys(), stack.clock(), lambda _: None)
        assert [one for one in problems if part.file in one], problems
        bad = store.look(made.backup_id)
        assert bad.problem
        with pytest.raises(BackupError, match="is damaged"):
            await restore(bad, source_of(stack), Keys(), Told(), replace=True)
        file.write_bytes(good)
        assert store.check(made, Keys(), stack.clock(), lambda _: None) == []
    assert await _count(stack, "SELECT count(*) FROM gateway.migrations") > 0


async def test_what_does_not_fit_is_refused_with_a_sentence(stack: Stack, tmp_path: Path) -> None:
    made = await _backup(stack, Store(tmp_path), KEYS)
    assert made.manifest is not None

    async def refused(found: Found, match: str, keys: Keys = KEYS, **target: str) -> None:
        source = Source(**{**source_of(stack).__dict__, **target})
        with pytest.raises(BackupError, match=match):
            await restore(found, source, keys, Told(), replace=True)

    def changed(**fields: Any) -> Found:
        assert made.manifest is not None
        manifest = made.manifest.model_copy(update=fields)
        return Found(made.backup_id, folder_of(made), type(manifest).model_validate_json(encode(manifest, KEYS)))

    newer = changed(migrations={**made.manifest.migrations, "audit": ["9999_from_the_future"]})
    await refused(newer, "newer than this one .*audit/9999_from_the_future")
    await refused(changed(migrations={**made.manifest.migrations, "soothsayer": []}), "the service soothsayer")
    await refused(made, "namespace", namespace="other")
    await refused(made, "is encrypted, and its key .* is not at hand", keys=Keys())
    await refused(made, "PostgreSQL", database_url="postgresql://nobody@127.0.0.1:1/none")
    await stack.start(make_audit(None))
    await refused(made, r"Services are connected \(headgate_audit\)")


async def test_a_restore_that_broke_off_is_seen_and_done_again(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start(make_audit(None))
    await record(stack, 10)
    await stack.idle("audit")
    await stack.stop("audit")
    made = await _backup(stack, Store(tmp_path))

    async def broken(*_: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(streams, "put", broken)
        with pytest.raises(BackupError, match="the disk is full"):
            await restore(made, source_of(stack), Keys(), Told(), replace=True)
    with pytest.raises(admin.AdminError, match="was not finished"):
        await admin.prepare(stack.database_url, stack.nats_url, stack.topology.namespace, PASSWORDS)
    await restore(made, source_of(stack), Keys(), Told(), replace=False)  # no need to say it again
    await admin.prepare(stack.database_url, stack.nats_url, stack.topology.namespace, PASSWORDS)
    await stack.start(make_audit(None))
    assert (await verified(stack))["head_seq"] == 10


@pytest.fixture
async def large(stack: Stack) -> Stack:
    """A stack whose backup takes some seconds at 1 MiB a second."""
    for _ in range(8):
        await stack.bus.js.publish(f"{stack.topology.namespace}.telemetry.a.b.c", os.urandom(700_000))
    return stack


def _partial(folder: Path) -> list[Path]:
    return list(folder.glob(f"{PARTIAL}*"))


async def test_a_backup_that_is_killed_is_none(large: Stack, tmp_path: Path) -> None:
    process = worker(large, tmp_path, "create", "--max-mib-s=1")
    await wait_for(lambda: any(one.stat().st_size for one in tmp_path.glob(f"{PARTIAL}*/*TELEMETRY.stream")))
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    store = Store(tmp_path)
    assert store.all() == []
    assert _partial(tmp_path)
    made = await _backup(large, store)
    assert store.all() == [made]
    assert not _partial(tmp_path)
