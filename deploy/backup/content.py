"""What stands in a database: rows and a hash of each table, the scripts it has run, and where the audit log ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import asyncpg
import orjson

from deploy.backup.manifest import AuditHead, TableContent
from services.audit.domain.chain import GENESIS, Link, Walk, check, check_end

CHUNK_ROWS = 500

SELECT_TABLES = """
SELECT schemaname AS schema, tablename AS name FROM pg_tables WHERE schemaname = ANY($1::text[]) ORDER BY 1, 2
"""
SELECT_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname = ANY($1::text[]) ORDER BY 1"
# The hash of a table: two 64-bit hashes of each row's text, summed up. Sums don't mind the order, and a row that is
# there twice counts twice. These are the hash functions that hash partitions rest on, so no version of PostgreSQL may
# change them. It finds what was lost, changed or added by mistake; against who forges, there are the SHA-256 of the
# files and the audit chain. (Half of SHA-256 took 54 s for a million audit entries, this 20 s.) The alias is a name
# that no column has; OFFSET 0 keeps the text from being made twice.
SELECT_CONTENT = """
SELECT count(*) AS rows,
       coalesce(sum(hashtextextended(line, 0)::numeric), 0) AS one,
       coalesce(sum(hashtextextended(line, 1)::numeric), 0) AS two
FROM (SELECT headgate_row::text COLLATE "C" AS line FROM {table} AS headgate_row OFFSET 0) AS lines
"""
SELECT_MIGRATIONS = "SELECT name FROM {schema}.migrations ORDER BY name"
SELECT_HEAD = "SELECT seq, hash FROM audit.head"
SELECT_LAST = "SELECT seq, hash, recorded_at FROM audit.entry ORDER BY seq DESC LIMIT 1"
SELECT_HASH = "SELECT hash FROM audit.entry WHERE seq = $1"
SELECT_ENTRIES = """
SELECT seq, recorded_at, prev_hash, hash, payload, version,
       time, event_id::text, type, source, site, actor, subject, causationid::text, correlationid::text,
       outcome, reason, issue, trace_id, client_address, client_agent
FROM audit.entry ORDER BY seq
"""
# Of a backup that an older version made: its entries had no version and nothing behind it.
SELECT_OLD_ENTRIES = """
SELECT seq, recorded_at, prev_hash, hash, payload, NULL::smallint AS version,
       time, event_id::text, type, source, site, actor, subject, causationid::text, correlationid::text,
       NULL, NULL, NULL, NULL, NULL, NULL
FROM audit.entry ORDER BY seq
"""
HAS_VERSIONS = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'audit.entry'::regclass AND attname = 'version')
"""
# Texts of rows must look alike wherever they are made; and one backup must not take all of a machine's cores.
SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "search_path": "pg_catalog",
    "max_parallel_workers_per_gather": "0",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "application_name": "headgate-backup",
}


async def connect(url: str) -> asyncpg.Connection:
    """A connection whose texts of rows can be compared with those of another."""
    return await asyncpg.connect(url, timeout=10, server_settings=SETTINGS)


async def schemas(connection: asyncpg.Connection, names: Iterable[str]) -> list[str]:
    """Which of these schemas are there."""
    return [row["nspname"] for row in await connection.fetch(SELECT_SCHEMAS, list(names))]


async def tables(
    connection: asyncpg.Connection, names: Iterable[str], each: Callable[[str], None] = lambda _: None
) -> dict[str, TableContent]:
    """Rows and hash of every table of these schemas; ``each`` is told the name of the one that comes."""
    found = {}
    for row in await connection.fetch(SELECT_TABLES, list(names)):
        name = f"{row['schema']}.{row['name']}"
        each(name)
        seen = await connection.fetchrow(SELECT_CONTENT.format(table=f'"{row["schema"]}"."{row["name"]}"'))
        assert seen is not None  # noqa: S101  an aggregate always answers
        found[name] = TableContent(rows=seen["rows"], digest=f"{int(seen['one']):x}-{int(seen['two']):x}")
    return found


async def migrations(connection: asyncpg.Connection, names: Iterable[str]) -> dict[str, list[str]]:
    """The scripts that each schema has run."""
    return {
        name: [row["name"] for row in await connection.fetch(SELECT_MIGRATIONS.format(schema=name))] for name in names
    }


async def audit_head(connection: asyncpg.Connection) -> AuditHead:
    """Where the audit log says it ends, and when its last entry was recorded."""
    head, last = await connection.fetchrow(SELECT_HEAD), await connection.fetchrow(SELECT_LAST)
    link = Link(head["seq"], head["hash"]) if head else Link(0, GENESIS)
    at: datetime | None = last["recorded_at"] if last else None
    return AuditHead(seq=link.seq, hash=link.hash.hex(), recorded_at=at)


async def audit_problem(connection: asyncpg.Connection, head: AuditHead, each: Callable[[int], None]) -> str:
    """Recompute the whole chain up to a head; returns what does not fit, or an empty text."""
    walk = Walk(Link(0, GENESIS), 0)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await connection.fetchrow(SELECT_HEAD)
        new = await connection.fetchval(HAS_VERSIONS)
        cursor = await connection.cursor(SELECT_ENTRIES if new else SELECT_OLD_ENTRIES)
        while rows := await cursor.fetch(CHUNK_ROWS):
            step = check(rows, walk.end, orjson.loads)
            walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
            each(walk.checked_count)
            if walk.fault is not None:
                return f"the audit log breaks: {walk.fault.problem}"
    for wanted in (Link(head.seq, bytes.fromhex(head.hash)), Link(stored["seq"], stored["hash"]) if stored else None):
        if wanted is None:
            return "the audit log has lost its head row"
        if fault := check_end(walk.end, wanted):
            return f"the audit log does not end where it should: {fault.problem}"
    return ""


async def audit_hash(connection: asyncpg.Connection, seq: int) -> str | None:
    """The hash of one entry, None if there is none; of seq 0 it is the beginning of all chains."""
    if seq == 0:
        return GENESIS.hex()
    found: bytes | None = await connection.fetchval(SELECT_HASH, seq)
    return None if found is None else found.hex()


def differences(wanted: dict[str, TableContent], found: dict[str, TableContent]) -> list[str]:
    """What differs between two looks at tables, a sentence each; empty if nothing."""
    told = [f"table {name} is missing" for name in wanted if name not in found]
    told += [f"table {name} should not be there" for name in found if name not in wanted]
    for name in sorted(wanted.keys() & found.keys()):
        one, two = wanted[name], found[name]
        if one.rows != two.rows:
            told.append(f"table {name} has {two.rows} rows instead of {one.rows}")
        elif one.digest != two.digest:
            told.append(f"table {name} has other content than when it was backed up")
    return told
