"""A backup becomes an installation again. While it is under way a mark stands in the database, so that nothing starts
on half of it; after a crash the same command does it again from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from nats.aio.client import Client

from deploy.backup import content, database, streams
from deploy.backup.create import SERVER, Source, Told, secret_mark
from deploy.backup.files import Pace
from deploy.backup.files import content as part_content
from deploy.backup.manifest import BackupError, Manifest, Part, StreamContent, check_mac
from deploy.backup.sealing import Keys
from deploy.backup.store import Found, need_key
from libs.common import buckets, migrations, outbox, topology
from libs.common.admin import UNFINISHED, UNFINISHED_SCHEMA, passwords
from libs.common.bus import NATS_ERRORS
from libs.common.contracts import SERVICES
from libs.common.contracts.audit.rollovers import Rollover, log_rolled_over, name_after
from libs.common.postgres import UNREACHABLE
from libs.common.topology import Topology
from libs.common.unasked import unasked
from libs.tlog.notes import Checkpoint, read_note

# The clocks of the database and its transactions: `sent_at` is when a transaction began, so a little before.
RESEND_MARGIN = timedelta(minutes=1)

MARK = f"""
CREATE SCHEMA IF NOT EXISTS {UNFINISHED_SCHEMA};
CREATE TABLE IF NOT EXISTS {UNFINISHED_SCHEMA}.restore (backup_id text NOT NULL, began_at timestamptz DEFAULT now());
"""
INSERT_MARK = f"INSERT INTO {UNFINISHED_SCHEMA}.restore (backup_id) VALUES ($1)"  # noqa: S608  a constant of ours
UNMARK = f"DROP SCHEMA IF EXISTS {UNFINISHED_SCHEMA} CASCADE"
SELECT_SESSIONS = """
SELECT DISTINCT usename FROM pg_stat_activity
WHERE datname = current_database() AND usename = ANY($1::text[]) ORDER BY 1
"""
ANY_ROW = "SELECT EXISTS (SELECT FROM {table})"
RESEND = "UPDATE {schema}.outbox SET sent_at = NULL WHERE sent_at >= $1"
_UNLIKE, _NOTHING_STARTS = "What was restored is not what was backed up", "Nothing starts on it."
SIGNS_OF_LIFE = ("inbox", "outbox")

ROLL_OVER = """
INSERT INTO audit.rollover (number, lost_note, lost_size, lost_root, kept_size, accepted_by, reason, accepted_at)
SELECT (SELECT count(*) FROM audit.rollover) + 1, note, size, root, head.seq, 'restore', $1, clock_timestamp()
FROM audit.head, (SELECT note, size, root FROM audit.checkpoint ORDER BY rollover DESC, size DESC LIMIT 1) AS last
RETURNING number, lost_note AS lost_checkpoint, lost_size, kept_size, accepted_by, reason, accepted_at
"""


@dataclass
class Restored:
    """How it went: the head of the audit log, and sentences that the administrator should read."""

    audit_seq: int
    audit_hash: str
    notes: list[str]


async def restore(
    found: Found, target: Source, keys: Keys, told: Told, *, replace: bool, pace: Pace | None = None
) -> Restored:
    """Make the target's installation what the backup holds, checked before anything starts on it.

    Raises `BackupError`: for a backup that is damaged or of a newer Headgate, while services run, and for an
    installation that holds something, unless ``replace``, or unless it is what a restore before has left half done.
    """
    manifest = readable(found, keys, target)
    try:
        client = await streams.connect(target.nats_url)
        try:
            connection = await content.connect(target.database_url)
        except BaseException:
            await client.close()
            raise
        try:
            work = _Restoring(found, manifest, target, keys, told, pace or Pace(), connection, client)
            return await work.run(replace=replace)
        finally:
            await client.close()
            await connection.close()
    except UNREACHABLE as error:
        raise BackupError(f"PostgreSQL, or the disk, does not do its part: {error}") from error
    except asyncpg.PostgresError as error:
        raise BackupError(f"PostgreSQL refused: {error}") from error
    except migrations.MigrationError as error:
        raise BackupError(f"The restored database can't be brought to this version: {error}") from error
    except NATS_ERRORS as error:
        raise BackupError(f"The streams can't be made: {error!r}") from error


def readable(found: Found, keys: Keys, target: Source) -> Manifest:
    """The manifest, if this Headgate can restore it there. Raises `BackupError`."""
    if found.manifest is None or found.problem:
        raise BackupError(f"The backup {found.backup_id} is damaged: {found.problem}. Choose another one.")
    manifest = found.manifest
    need_key(manifest, keys)
    check_mac(manifest, keys)
    if newer := _unknown(manifest):
        raise BackupError(
            f"The backup {manifest.backup_id} is of Headgate {manifest.headgate_version}, which is newer than this one "
            f"(it has {newer}): install that version or a later one, then restore."
        )
    if manifest.namespace != target.namespace:
        raise BackupError(
            f"The backup is of the namespace {manifest.namespace!r}, this installation's is {target.namespace!r}: "
            "set HEADGATE_NAMESPACE to that of the backup."
        )
    return manifest


def _unknown(manifest: Manifest) -> str:
    """A migration or service of the backup that this Headgate does not know, or an empty text."""
    for service, names in manifest.migrations.items():
        if service not in SERVICES:
            return f"the service {service}"
        known = {name for name, _ in migrations.scripts(service)}
        if extra := sorted(set(names) - known):
            return f"{service}/{extra[-1]}"
    return ""


@dataclass
class _Restoring:
    found: Found
    manifest: Manifest
    target: Source
    keys: Keys
    told: Told
    pace: Pace
    connection: asyncpg.Connection
    client: Client

    async def run(self, *, replace: bool) -> Restored:
        await self._refuse_unfit(replace=replace)
        server = await self.connection.fetchrow(SERVER)
        assert server is not None  # noqa: S101  a select without a table
        await database.check_programs(server["major"], self.target.database_url)
        await self.connection.execute(MARK)
        await self.connection.execute(INSERT_MARK, self.manifest.backup_id)
        await self._database(server["major"])
        await self._streams()
        self.told.stage("checks")
        problems = content.differences(
            self.manifest.tables,
            await content.tables(
                self.connection, self.manifest.migrations, lambda one: self.told.stage(f"check {one}")
            ),
        )
        head = await content.audit_head(self.connection)
        if (head.seq, head.hash) != (self.manifest.audit_head.seq, self.manifest.audit_head.hash):
            problems.append(f"the audit log ends at {head.seq} instead of {self.manifest.audit_head.seq}")
        if problems:
            raise BackupError(
                f"What was restored is not what was backed up: {'; '.join(problems[:5])}. Nothing starts."
            )
        await self._bring_up()
        await self.connection.execute(UNMARK)
        return Restored(head.seq, head.hash, self._notes())

    async def _refuse_unfit(self, *, replace: bool) -> None:
        logins = [migrations.login_role(service) for service in SERVICES]
        if busy := [row["usename"] for row in await self.connection.fetch(SELECT_SESSIONS, logins)]:
            raise BackupError(f"Services are connected ({', '.join(busy)}): stop Headgate, then restore.")
        if replace or await self.connection.fetchval(UNFINISHED):
            return
        if sign := await self._life():
            raise BackupError(
                f"This installation is not empty ({sign}). Restore into an empty one, or say --replace: "
                "then all that it holds is deleted."
            )

    async def _life(self) -> str:
        there = await content.schemas(self.connection, SERVICES)
        tables = [f"{schema}.{table}" for schema in there for table in SIGNS_OF_LIFE]
        for table in [*tables, *(["audit.entry"] if "audit" in there else [])]:
            if await self.connection.fetchval(ANY_ROW.format(table=table)):
                return f"there are rows in {table}"
        names = Topology(self.target.namespace)
        for stream in (names.commands_stream, names.events_stream):
            state = await streams.state(self.client, stream)
            if state is not None and state.messages:
                return f"there are messages in {stream}"
        return ""

    async def _database(self, major: int) -> None:
        self.told.stage("database")
        await migrations.make_roles(self.connection, passwords(self.target.secret, "postgres"))
        for schema in await content.schemas(self.connection, SERVICES):
            await self.connection.execute(f"DROP SCHEMA {schema} CASCADE")
        pieces = self._pieces(self.manifest.database, packed=False)
        await database.load(self.target.database_url, pieces, major, owners=True)

    async def _streams(self) -> None:
        for stream in Topology(self.target.namespace).streams():
            await streams.delete(self.client, stream.name or "")
        for name, copy in self.manifest.streams.items():
            self.told.stage(f"stream {name}")
            config = copy.config if streams.clustered(self.client) else {**copy.config, "num_replicas": 1}
            made = await streams.put(self.client, name, config, self._pieces(copy.part, packed=True))
            if problem := unlike(name, copy, made):
                raise BackupError(f"{_UNLIKE}: {problem}. {_NOTHING_STARTS}")

    async def _bring_up(self) -> None:
        """Send again what the copy of the bus missed, and bring all to this version."""
        for schema in self.manifest.migrations:
            await self.connection.execute(RESEND.format(schema=schema), self.manifest.recovery_point - RESEND_MARGIN)
        self.told.stage("migrations")
        await migrations.migrate(self.connection, passwords(self.target.secret, "postgres"))
        # What was signed after the copy may be in other hands: from here on the log goes on differently, so it gets
        # another name (docs/decisions/0025), and there is no last checkpoint of that name yet.
        await self._roll_over()
        await streams.delete(self.client, buckets.register_place(self.target.namespace, buckets.AUDIT, ">")[0])
        replicas = self._held_by() if streams.clustered(self.client) else 1
        await topology.apply(self.client.jetstream(timeout=10), Topology(self.target.namespace), replicas=replicas)

    async def _roll_over(self) -> None:
        """A log that was signed goes on under another name; its first words there are to be that it does, and why."""
        async with self.connection.transaction():
            row = await self.connection.fetchrow(ROLL_OVER, f"the backup {self.manifest.backup_id} was restored")
            if row is None:
                return
            lost = Checkpoint.read(read_note(row["lost_checkpoint"]).text).origin
            base = lost.removesuffix(f"/{row['number']}") if row["number"] > 1 else lost
            tx = unasked("audit", self.connection, row["accepted_at"], about="backup.restored")
            made = Rollover(**row, origin=name_after(base, row["number"]))
            tx.emit(log_rolled_over, made, subject=str(made.number))
            await self.connection.execute("SET LOCAL search_path = audit")
            await outbox.stage(self.connection, tx.staged)

    def _held_by(self) -> int:
        """By how many servers, at most, the backup's streams were held."""
        return max((int(copy.config.get("num_replicas", 1)) for copy in self.manifest.streams.values()), default=1)

    def _looking(self, table: str) -> None:
        self.told.stage(f"look at {table}")

    def _pieces(self, part: Part, *, packed: bool) -> Iterator[bytes]:
        def moved(count: int) -> None:
            self.pace.took(count)
            self.told.moved(count)

        made, key_id = self.manifest.backup_id, self.manifest.key_id
        return part_content(self.found.folder, part, made, self.keys, key_id, packed=packed, moved=moved)

    def _notes(self) -> list[str]:
        notes = []
        if self._held_by() > 1 and not streams.clustered(self.client):
            notes.append(
                "In the backup several servers of NATS held each stream; here is one, which holds them all. When it is "
                "part of a cluster, set HEADGATE_NATS_REPLICAS and run the admin step."
            )
        if self.manifest.secret_mark == secret_mark(self.target.secret):
            return notes
        return [
            *notes,
            "This installation has another cluster secret than the backup's: what that one sealed does not open, and "
            "webhooks are signed anew. Put the old cluster secret in place before you start Headgate, or enter other "
            "systems' secrets again and rotate each webhook.",
        ]


def unlike(name: str, copy: StreamContent, made: streams.State) -> str:
    """What differs between a stream and its copy, or an empty text. A stream may have lost what is too old since.

    One that holds schedules goes on by itself the moment it is there: ticks that came due since the copy was taken.
    """
    if copy.config.get("allow_msg_schedules"):
        if made.last_seq < copy.last_seq or made.messages < copy.messages:
            wanted = f"{copy.messages} up to {copy.last_seq}"
            return f"the stream {name} has {made.messages} messages up to {made.last_seq} instead of {wanted}"
        return ""
    if made.last_seq != copy.last_seq:
        return f"the stream {name} ends at {made.last_seq} instead of {copy.last_seq}"
    if made.messages > copy.messages or (made.messages < copy.messages and not copy.config.get("max_age")):
        return f"the stream {name} has {made.messages} messages instead of {copy.messages}"
    return ""
