"""A backup is made: first the bus, then the database, then what messages and rows name (docs/decisions/0023).

The order is what makes it whole. A command lies in the queue until the database has its effect: the queue is copied
first, so one of the two copies has it. What the database sent between the two copies, it has as sent, and the copy of
the bus does not have it: a restore sends it again. Receivers leave out what they had already (the inbox). An object is
stored before anything names it: buckets are copied last.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import asyncpg
from nats.aio.client import Client

from deploy.backup import content, database, streams
from deploy.backup.files import Moved, Pace, PartWriter
from deploy.backup.manifest import FORMAT, SECRETS, BackupError, Manifest, StreamContent
from deploy.backup.sealing import Keys
from deploy.backup.store import Found, Store
from libs.common import buckets
from libs.common.contracts import SERVICES
from libs.common.postgres import UNREACHABLE
from libs.common.topology import Topology

NOW = "SELECT clock_timestamp()"
SERVER = "SELECT current_setting('server_version') AS name, current_setting('server_version_num')::int / 10000 AS major"
EXPORT = "SELECT pg_export_snapshot()"
DATABASE_FILE = "database.dump"


@dataclass(frozen=True)
class Source:
    """An installation that is backed up: its servers' addresses with rights to read all, and its cluster secret."""

    database_url: str
    nats_url: str
    namespace: str
    secret: str


@dataclass(frozen=True)
class Told:
    """Whom the work tells of itself: ``stage`` what it does now, ``moved`` how many bytes came through."""

    stage: Callable[[str], None] = lambda _: None
    moved: Moved = lambda _: None


def secret_mark(secret: str) -> str:
    """Shows whether two installations have the same cluster secret, and tells nothing of it."""
    return hmac.new(secret.encode(), b"headgate backup mark", sha256).hexdigest()[:16]


def headgate_version() -> str:
    """This Headgate's version."""
    try:
        return version("headgate")
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"


async def create(source: Source, store: Store, keys: Keys, now: datetime, told: Told, pace: Pace) -> Found:
    """Make a backup in the folder. Raises `BackupError`; then there is none."""
    told.stage("waiting for its turn")
    with store.writing():
        backup_id, folder = store.begin(now)
        try:
            making = _Making(source, folder, backup_id, keys, told, pace)
            store.finish(folder, await making.run(now), keys)
        except UNREACHABLE as error:
            store.discard(folder)
            raise BackupError(f"PostgreSQL, or the disk, does not do its part: {error}") from error
        except asyncpg.PostgresError as error:
            store.discard(folder)
            raise BackupError(f"PostgreSQL refused: {error}") from error
        except BaseException:
            store.discard(folder)
            raise
    return store.look(backup_id)


@dataclass
class _Making:
    source: Source
    folder: Path
    backup_id: str
    keys: Keys
    told: Told
    pace: Pace

    async def run(self, now: datetime) -> Manifest:
        client = await streams.connect(self.source.nats_url)
        try:
            connection = await content.connect(self.source.database_url)
        except BaseException:
            await client.close()
            raise
        try:
            return await self._run(connection, client, now)
        finally:
            await client.close()
            await connection.close()

    async def _run(self, connection: asyncpg.Connection, client: Client, now: datetime) -> Manifest:
        server = await connection.fetchrow(SERVER)
        assert server is not None  # noqa: S101  a select without a table
        await database.check_programs(server["major"], self.source.database_url)
        recovery_point = await connection.fetchval(NOW)
        topology = Topology(self.source.namespace)
        # Commands first: see above.
        first = [topology.commands_stream, topology.events_stream, topology.schedules_stream, topology.telemetry_stream]
        last = [buckets.stream_name(topology.namespace, plan.name) for plan in buckets.BUCKETS]
        known = {stream.name or "" for stream in topology.streams()} - buckets.fleeting(topology.namespace)
        copies = {name: await self._stream(client, name) for name in first if name in known}
        manifest = await self._database(connection, server["major"])
        copies |= {name: await self._stream(client, name) for name in [*last, *sorted(known - {*first, *last})]}
        return manifest.model_copy(
            update={
                "began_at": now,
                "recovery_point": recovery_point,
                "finished_at": datetime.now(UTC),
                "postgres_version": server["name"],
                "nats_version": str(client.connected_server_version),
                "streams": copies,
            }
        )

    async def _stream(self, client: Client, name: str) -> StreamContent:
        self.told.stage(f"stream {name}")
        writer = self._writer(f"{name}.stream", packed=True)
        try:
            state = await streams.take(client, name, writer.write)
        except BaseException:
            writer.abandon()
            raise
        if state is None:
            writer.abandon()
            raise BackupError(f"The stream {name} is missing; run `headgate migrate`.")
        return StreamContent(
            part=writer.close(),
            messages=state.messages,
            stored_bytes=state.stored_bytes,
            first_seq=state.first_seq,
            last_seq=state.last_seq,
            consumers=state.consumers,
            config=state.config,
        )

    async def _database(self, connection: asyncpg.Connection, major: int) -> Manifest:
        """Everything of the database, as of one snapshot: dump, rows and hashes, migrations and the audit head."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval(EXPORT)
            schemas = await content.schemas(connection, SERVICES)
            if "audit" not in schemas:
                raise BackupError("The database holds no Headgate; run `headgate migrate`.")
            self.told.stage("database")
            writer = self._writer(DATABASE_FILE, packed=False)
            try:
                await database.dump(self.source.database_url, schemas, snapshot, major, writer.write)
            except BaseException:
                writer.abandon()
                raise
            part = writer.close()
            looked = await content.tables(connection, schemas, lambda name: self.told.stage(f"hash of {name}"))
            head = await content.audit_head(connection)
            done = await content.migrations(connection, schemas)
        moment = datetime.now(UTC)
        return Manifest(
            format=FORMAT,
            backup_id=self.backup_id,
            headgate_version=headgate_version(),
            namespace=self.source.namespace,
            began_at=moment,
            recovery_point=moment,
            finished_at=moment,
            postgres_version="",
            nats_version="",
            migrations=done,
            database=part,
            tables=looked,
            streams={},
            audit_head=head,
            secrets_not_included=list(SECRETS),
            secret_mark=secret_mark(self.source.secret),
            key_id=self.keys.current_id,
        )

    def _writer(self, file: str, *, packed: bool) -> PartWriter:
        def moved(count: int) -> None:
            self.pace.took(count)
            self.told.moved(count)

        return PartWriter(self.folder, file, self.backup_id, self.keys, packed=packed, moved=moved)
