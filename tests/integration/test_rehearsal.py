"""Rehearsals on real servers: what is whole is valid; each kind of damage is not, and says where."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from deploy.backup import database, scratch, streams
from deploy.backup.create import Told, create
from deploy.backup.files import Pace, PartWriter
from deploy.backup.manifest import AuditHead, BackupError, Manifest
from deploy.backup.rehearse import Rehearsal, rehearse
from deploy.backup.sealing import Keys
from deploy.backup.store import Found, Store
from services.audit.service import make_service as make_audit
from tests.integration.audit_desk import record
from tests.integration.backup_desk import NO_KEYS, source_of, wait_for, worker
from tests.stack import Stack
from tests.unit.deploy.backups import folder_of

pytestmark = [pytest.mark.integration, pytest.mark.whole]


async def _rehearse(stack: Stack, store: Store, found: Found | None = None, keys: Keys = NO_KEYS) -> Rehearsal:
    return await rehearse(source_of(stack), store, keys, Told(), found=found, bus_url=None, pace=Pace())


async def _filled(stack: Stack, count: int = 50) -> None:
    await stack.start(make_audit(None))
    await record(stack, count)
    await stack.idle("audit")
    await stack.stop("audit")


async def _backup(stack: Stack, store: Store) -> Found:
    return await create(source_of(stack), store, NO_KEYS, datetime.now(UTC), Told(), Pace())


async def _scratch_left(stack: Stack) -> list[str]:
    connection = await stack.superuser()
    try:
        rows = await connection.fetch(scratch.SELECT_LEFT, "headgate_scratch_")
        return [row["datname"] for row in rows]
    finally:
        await connection.close()


def _rewritten(store: Store, found: Found, manifest: Manifest) -> Found:
    """The same backup with a manifest that lies, and is in itself all right."""
    (folder_of(found) / "manifest.json").unlink()
    (folder_of(found) / "checked.json").unlink(missing_ok=True)
    partial = store.root / f".partial-{found.backup_id}"
    folder_of(found).rename(partial)
    store.finish(partial, manifest, NO_KEYS)
    return store.look(found.backup_id)


async def test_a_whole_backup_is_valid_and_nothing_of_the_rehearsal_stays(stack: Stack, tmp_path: Path) -> None:
    await _filled(stack)
    store = Store(tmp_path)
    done = await _rehearse(stack, store)
    assert (done.problems, done.restore_valid) == ([], True)
    assert done.backup_id == store.newest().backup_id
    assert done.audit_seq == 50
    assert done.rows > 50
    assert done.messages >= 50
    assert done.rto_s is not None
    assert 0 < done.rto_s < done.total_s
    assert done.rpo_s is not None
    assert await _scratch_left(stack) == []
    assert not _scratch_folders(tmp_path)
    assert store.newest().checked_at is not None
    # The login that loaded it may do nothing: not even connect to the installation's database.
    connection = await stack.superuser()
    await _migrated(connection)
    try:
        for right in ("CONNECT", "CREATE", "TEMPORARY"):
            asked = "SELECT has_database_privilege($1, current_database(), $2)"
            assert not await connection.fetchval(asked, scratch.LOGIN, right)
        role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", scratch.LOGIN)
        assert role is not None
        for forbidden in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication", "rolbypassrls"):
            assert not role[forbidden], forbidden
        assert not await connection.fetchval(
            "SELECT count(*) FROM pg_auth_members WHERE member = $1::regrole", scratch.LOGIN
        )
    finally:
        await connection.close()


async def _migrated(connection: asyncpg.Connection) -> None:
    """Shut as the admin step shuts it: copies of a database begin open to everybody."""
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


def _scratch_folders(folder: Path) -> list[Path]:
    return list(folder.glob(f"{scratch.FOLDER}*"))


async def test_one_byte(stack: Stack, tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = await _backup(stack, store)
    file = folder_of(made) / "database.dump"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = await _rehearse(stack, store, made)
    assert not done.restore_valid
    assert "database.dump is damaged: its SHA-256 differs." in done.problems


async def test_one_missing_table_and_a_row_that_was_changed(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump itself lacks a table, and was made of another row than was counted: its hash is right all the same."""
    await _filled(stack)
    store = Store(tmp_path)
    made = await _backup(stack, store)
    assert made.manifest is not None
    connection = await stack.superuser()
    await connection.execute("DROP TABLE tracker.item_link CASCADE")
    await connection.execute("UPDATE governance.migrations SET digest = 'another' WHERE name = 'common/0001_messages'")
    await connection.execute("DELETE FROM audit.inbox WHERE event_id = (SELECT event_id FROM audit.inbox LIMIT 1)")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        (folder_of(made) / "database.dump").unlink()
        writer = PartWriter(
            folder_of(made), "database.dump", made.backup_id, NO_KEYS, packed=False, moved=lambda _: None
        )
        await database.dump(stack.database_url, list(made.manifest.migrations), snapshot, 18, writer.write)
    await connection.close()
    lying = _rewritten(store, made, made.manifest.model_copy(update={"database": writer.close()}))
    done = await _rehearse(stack, store, lying)
    assert not done.restore_valid
    assert done.problems == [
        "table tracker.item_link is missing",
        "table audit.inbox has 49 rows instead of 50",
        "table governance.migrations has other content than when it was backed up",
    ]


async def test_an_older_audit_head(stack: Stack, tmp_path: Path) -> None:
    """A log whose tail was cut off before the backup is whole in itself; the backup before knows better."""
    await _filled(stack)
    store = Store(tmp_path)
    before = await _backup(stack, store)
    connection = await stack.superuser()
    await connection.execute("DELETE FROM audit.entry WHERE seq > 40")
    await connection.execute("UPDATE audit.head SET (seq, hash) = (SELECT seq, hash FROM audit.entry WHERE seq = 40)")
    await connection.close()
    done = await _rehearse(stack, store)
    assert not done.restore_valid
    assert done.problems == [f"entry 50 of the audit log, which {before.backup_id} ended with, is missing"]
    # And a manifest that names another end than its dump has.
    newest = store.newest()
    assert newest.manifest is not None
    store.remove(before.backup_id)
    lie = newest.manifest.model_copy(update={"audit_head": AuditHead(seq=39, hash="0" * 64)})
    done = await _rehearse(stack, store, _rewritten(store, newest, lie))
    assert done.problems[0] == "the audit log ends at entry 40, the manifest says 39"
    assert (done.restore_valid, done.rto_s) == (False, None)


async def test_an_entry_that_was_changed(stack: Stack, tmp_path: Path) -> None:
    await _filled(stack)
    connection = await stack.superuser()
    await connection.execute("UPDATE audit.entry SET actor = 'nobody' WHERE seq = 7")
    await connection.close()
    done = await _rehearse(stack, Store(tmp_path))
    assert not done.restore_valid
    assert done.problems == [
        "the audit log breaks: entry 7 was changed: the column actor is not what its event says"
    ]  # fmt: skip


async def test_a_rehearsal_that_is_killed_leaves_nothing_for_long(stack: Stack, tmp_path: Path) -> None:
    for _ in range(3):
        await stack.bus.js.publish(f"{stack.topology.namespace}.telemetry.a.b.c", bytes(700_000))
    connection = await stack.superuser()
    # A second rehearsal would wait for nothing: it is refused.
    await connection.fetchval(scratch.TRY_LOCK)
    with pytest.raises(BackupError, match="Another rehearsal"):
        await _rehearse(stack, Store(tmp_path))
    await connection.close()
    made = Store(tmp_path).newest()
    process = worker(stack, tmp_path, "rehearse", made.backup_id, "--max-mib-s=1", "--no-report")
    await wait_for(lambda: bool(_scratch_folders(tmp_path)))

    async def begun() -> bool:
        return bool(await _scratch_left(stack))

    await wait_for(begun)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert await _scratch_left(stack)
    done = await _rehearse(stack, Store(tmp_path), made)
    assert done.restore_valid, done.problems
    assert await _scratch_left(stack) == []
    assert not _scratch_folders(tmp_path)


async def test_a_bus_that_is_given_is_emptied_and_never_the_installations_own(stack: Stack, tmp_path: Path) -> None:
    await _filled(stack)
    store = Store(tmp_path / "backups")
    made = await _backup(stack, store)

    async def on(url: str) -> Rehearsal:
        return await rehearse(source_of(stack), store, NO_KEYS, Told(), found=made, bus_url=url, pace=Pace())

    with pytest.raises(BackupError, match="own bus"):
        await on(stack.nats_url)
    kept = await stack.bus.js.stream_info(stack.topology.events_stream)
    assert kept.state.messages >= 50
    with scratch._private(tmp_path / "other") as url:
        for _ in range(2):
            assert (await on(url)).restore_valid
        client = await streams.connect(url)
        assert await streams.state(client, stack.topology.events_stream) is None
        await client.close()


async def test_the_scratch_login_owns_what_it_restores_and_nobody_else_comes_in(stack: Stack) -> None:
    admin = await stack.superuser()
    await _migrated(admin)
    await admin.close()
    async with scratch.database(stack.database_url) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE t (a int)")
        await connection.close()
        other = stack.settings("audit").database_url
        assert other is not None
        for login, name in ((other.get_secret_value(), url), (url, stack.database_url)):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(f"{login.rpartition('/')[0]}/{name.rpartition('/')[2]}")
