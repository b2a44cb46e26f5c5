"""What the audit service's own login may do to the log's tables, statement by statement: nobody else guards them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

import services.audit
from libs.common.migrations import login_role
from tests.stack import Stack

pytestmark = pytest.mark.integration

MIGRATIONS = Path(services.audit.__file__).parent / "migrations"
READ, ADD = frozenset({"SELECT"}), frozenset({"SELECT", "INSERT"})
# By table: what may be done to rows, and which columns of a row that is there may be replaced.
MAY: dict[str, tuple[frozenset[str], str]] = {
    "entry": (ADD, ""),
    "tile": (ADD, ""),
    "log_key": (ADD, ""),
    "rollover": (ADD, ""),
    "archive_stamp": (ADD, ""),
    "archive_csv": (ADD, ""),
    "erasure": (READ, ""),
    "head": (READ, "seq hash tree_size edges"),
    "checkpoint": (ADD, "size root note verifier signed_at"),
    "cosignature": (ADD, "size root note line signed_at cosigned_at"),
    "witness": (ADD, "state problem rollover size cosigned_at asked_at since"),
    "erasing": (ADD, "after_seq"),
    "archive": (
        ADD,
        "state filename sha256 size_bytes manifest_sha256 origin verifier checkpoint first_seq last_seq entry_count "
        "root_hash initial_prev_hash last_entry_hash capsule_count capsules_left_out dr_rehearsal_included made_at "
        "made_by",
    ),
    "archive_verification": (
        ADD,
        "sha256 status stage stage_done stage_total file_count entry_count problem updated_at finished_at",
    ),
    "verification": (
        ADD,
        "checked last_hash edges checkpoint_count status first_bad_seq problem updated_at finished_at",
    ),
}
SELECT_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
SELECT_TRIGGERS = """
SELECT tgname, tgrelid::regclass::text AS of FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY ($1::text[]) ORDER BY of
"""
REFUSED = (
    "DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE", "DROP TABLE {}", "DROP TABLE {} CASCADE",
    "ALTER TABLE {} ADD COLUMN more text", "ALTER TABLE {} DISABLE TRIGGER ALL", "ALTER TABLE {} OWNER TO CURRENT_USER",
    "CREATE RULE others AS ON INSERT TO {} DO INSTEAD NOTHING", "CREATE INDEX ON {} ((1))",
)  # fmt: skip
ELSEWHERE = (
    "DROP SCHEMA audit CASCADE",
    "DROP FUNCTION keep_signed() CASCADE",
    "CREATE OR REPLACE FUNCTION keep_signed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE of_my_own (id int)",
    "SET session_replication_role = replica",
    "SET ROLE headgate_audit_owner",
)


@pytest_asyncio.fixture
async def login(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """A connection with the rights of the audit service, and no more."""
    url = stack.settings("audit").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "audit"})
    assert await connection.fetchval("SELECT current_user") == login_role("audit")
    yield connection
    await connection.close()


async def refuses(login: asyncpg.Connection, statement: str) -> None:
    """It is refused for want of rights, and for nothing else."""
    try:
        async with login.transaction():
            await login.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return
    pytest.fail(f"the login may do this: {statement}")


def test_every_table_of_the_log_is_in_the_list() -> None:
    made = [
        name
        for file in sorted(MIGRATIONS.glob("*.sql"))
        for name in re.findall(r"^CREATE TABLE (\w+)", file.read_text(), re.M)
    ]
    assert sorted(made) == sorted(MAY)


async def test_a_stored_row_is_replaced_where_the_list_says_so_and_nowhere_else(login: asyncpg.Connection) -> None:
    for table, (rows, replaced) in MAY.items():
        for statement in REFUSED:
            await refuses(login, statement.format(table))
        columns = {row["attname"] for row in await login.fetch(SELECT_COLUMNS, table)}
        may = set(replaced.split())
        assert may < columns, table
        for column in columns:
            statement = f"UPDATE {table} SET {column} = {column}"
            if column in may:
                await login.execute(statement)
            else:
                await refuses(login, statement)
        insert = f"INSERT INTO {table} SELECT * FROM {table} WHERE false"
        await (login.execute(insert) if "INSERT" in rows else refuses(login, insert))
    for statement in ELSEWHERE:
        await refuses(login, statement)


async def test_what_was_signed_never_gets_less(login: asyncpg.Connection) -> None:
    """In the columns that are replaced every hour a trigger keeps the size; it is on each table that has such a row."""
    triggers = [tuple(row) for row in await login.fetch(SELECT_TRIGGERS, list(MAY))]
    assert triggers == [
        ("keep_frozen", "archive"),
        ("keep_ended", "archive_verification"),
        ("keep_signed", "checkpoint"),
        ("keep_signed", "cosignature"),
        ("keep_verified", "verification"),
    ]
    root = bytes(32)
    await login.execute("INSERT INTO checkpoint VALUES (0, now(), 20, $1, 'n', 'v', now())", root)
    await login.execute("INSERT INTO cosignature VALUES (0, 'v', now(), 20, $1, 'n', 'l', now(), now())", root)
    for table in ("checkpoint", "cosignature"):
        for size in (20, 21):
            await login.execute(f"UPDATE {table} SET size = {size}, note = 'another'")
        with pytest.raises(asyncpg.RaiseError, match="21 entries were signed, 20 are fewer"):
            await login.execute(f"UPDATE {table} SET size = 20")
        assert await login.fetchval(f"SELECT size FROM {table}") == 21
