"""A rehearsal: a backup is really restored, beside the installation, and compared with what was backed up.

It is valid only if every byte of the backup was read, every table has its rows and their content, every stream its
messages, the audit log recomputes from its first entry to the head that the manifest names, and no backup of before
knows an entry that this log has lost or changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from deploy.backup import content, database, scratch, streams
from deploy.backup.create import SERVER, Source, Told, create
from deploy.backup.files import Moved, Pace
from deploy.backup.files import content as part_content
from deploy.backup.manifest import BackupError, Manifest, Part
from deploy.backup.restore import readable, unlike
from deploy.backup.sealing import Keys
from deploy.backup.store import Found, Store
from libs.common.postgres import UNREACHABLE


@dataclass
class Rehearsal:
    """How it went.

    ``rto_s``: from the first byte read of the backup to the first verified read of what was restored. ``rpo_s``: how
    old the newest restored event was when the rehearsal began. ``problems`` says where it does not fit.
    """

    backup_id: str
    started_at: datetime
    finished_at: datetime | None = None
    restore_valid: bool = False
    problems: list[str] = field(default_factory=list)
    backup_s: float | None = None
    rto_s: float | None = None
    rpo_s: float | None = None
    total_s: float = 0.0
    size_bytes: int = 0
    tables: int = 0
    rows: int = 0
    streams: int = 0
    messages: int = 0
    audit_seq: int = 0
    audit_hash: str = ""


async def rehearse(
    source: Source, store: Store, keys: Keys, told: Told, *, found: Found | None, bus_url: str | None, pace: Pace
) -> Rehearsal:
    """Take a backup (or use the given one), restore it into scratch, compare, drop the scratch.

    Whatever is wrong with the backup is a rehearsal that is not valid. Raises `BackupError` if there could be none: no
    server, no rights, no tools, another one under way.
    """
    started, began = datetime.now(UTC), time.monotonic()
    backup_s = None
    if found is None:
        found = await create(source, store, keys, started, told, pace)
        backup_s = time.monotonic() - began
    told_of = Rehearsal(found.backup_id, started, backup_s=backup_s)
    work = _Work(source, store, keys, told, found, bus_url, pace, told_of)
    try:
        await work.run()
    except UNREACHABLE as error:
        raise BackupError(f"PostgreSQL, or the disk, does not do its part: {error}") from error
    except asyncpg.PostgresError as error:
        raise BackupError(f"PostgreSQL refused: {error}") from error
    told_of.restore_valid = not told_of.problems
    told_of.finished_at = datetime.now(UTC)
    told_of.total_s = time.monotonic() - began
    return told_of


@dataclass
class _Work:
    source: Source
    store: Store
    keys: Keys
    told: Told
    found: Found
    bus_url: str | None
    pace: Pace
    result: Rehearsal

    async def run(self) -> None:
        restoring = time.monotonic()
        self.told.stage("reading the backup")
        self.result.problems += self.store.check(self.found, self.keys, self.result.started_at, self._moved)
        if self.result.problems or self.found.manifest is None:
            return
        manifest = readable(self.found, self.keys, self.source)
        self._count(manifest)
        # The database first: its lock says that nobody else is at the given bus, which is emptied.
        async with (
            scratch.database(self.source.database_url, self.store.wait_s) as url,
            scratch.bus(self.store.root, manifest, self.bus_url, self.source.nats_url) as client,
        ):
            await self._database(manifest, url, restoring)
            for name, copy in manifest.streams.items():
                self.told.stage(f"stream {name}")
                pieces = self._pieces(manifest, copy.part)
                try:
                    # The bus of rehearsals is one server, however many hold the stream where it was backed up.
                    made = await streams.put(client, name, {**copy.config, "num_replicas": 1}, pieces)
                except BackupError as error:
                    self.result.problems.append(str(error))
                    continue
                if problem := unlike(name, copy, made):
                    self.result.problems.append(problem)

    async def _database(self, manifest: Manifest, url: str, restoring: float) -> None:
        self.told.stage("restoring the database")
        connection = await content.connect(url)
        try:
            server = await connection.fetchrow(SERVER)
            assert server is not None  # noqa: S101  a select without a table
            await database.check_programs(server["major"], url)
            try:
                pieces = self._pieces(manifest, manifest.database)
                await database.load(url, pieces, server["major"], owners=False)
            except BackupError as error:
                self.result.problems.append(str(error))
                return
            await self._first_read(connection, manifest, restoring)
            looked = await content.tables(connection, manifest.migrations, self._looking)
            self.result.problems += content.differences(manifest.tables, looked)
            self.told.stage("recomputing the audit log")
            await self._audit(connection, manifest)
        finally:
            await connection.close()

    async def _first_read(self, connection: asyncpg.Connection, manifest: Manifest, restoring: float) -> None:
        try:
            head = await content.audit_head(connection)
        except asyncpg.PostgresError:
            return  # a table is missing: the comparison names it
        if (head.seq, head.hash) == (manifest.audit_head.seq, manifest.audit_head.hash):
            self.result.rto_s = time.monotonic() - restoring
        else:
            wanted = manifest.audit_head
            self.result.problems.append(f"the audit log ends at entry {head.seq}, the manifest says {wanted.seq}")
        if head.recorded_at is not None:
            self.result.rpo_s = max(0.0, (self.result.started_at - head.recorded_at).total_seconds())

    async def _audit(self, connection: asyncpg.Connection, manifest: Manifest) -> None:
        try:
            if problem := await content.audit_problem(connection, manifest.audit_head, lambda _: None):
                self.result.problems.append(problem)
                return
            for before in self.store.all():
                older = before.manifest
                if older is None or older.namespace != manifest.namespace or older.began_at > manifest.began_at:
                    continue
                noted = older.audit_head
                found = await content.audit_hash(connection, noted.seq)
                if found != noted.hash:
                    how = "is missing" if found is None else "has another hash"
                    self.result.problems.append(
                        f"entry {noted.seq} of the audit log, which {before.backup_id} ended with, {how}"
                    )
        except asyncpg.PostgresError as error:
            self.result.problems.append(f"the audit log can't be read: {error}")

    def _count(self, manifest: Manifest) -> None:
        result = self.result
        result.size_bytes, result.rows, result.tables = manifest.size_bytes, manifest.rows, len(manifest.tables)
        result.streams = len(manifest.streams)
        result.messages = sum(stream.messages for stream in manifest.streams.values())
        result.audit_seq, result.audit_hash = manifest.audit_head.seq, manifest.audit_head.hash

    def _looking(self, table: str) -> None:
        self.told.stage(f"comparing {table}")

    def _pieces(self, manifest: Manifest, part: Part) -> Iterator[bytes]:
        packed = part is not manifest.database
        return part_content(
            self.found.folder, part, manifest.backup_id, self.keys, manifest.key_id, packed=packed, moved=self._moved
        )

    @property
    def _moved(self) -> Moved:
        def moved(count: int) -> None:
            self.pace.took(count)
            self.told.moved(count)

        return moved
