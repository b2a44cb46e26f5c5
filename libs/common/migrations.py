"""Migrations: numbered SQL files, applied by the admin step, each in a transaction of its own, under one advisory lock.

A schema's tables belong to a NOLOGIN role ``headgate_<service>_owner``; the service logs in as ``headgate_<service>``
with grants only. An owner could grant itself anything back, so no process ever logs in as one.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from importlib import resources

import asyncpg

from libs.common.contracts import SERVICES
from libs.common.roster import RUN_CLASSES, run_class

_LOCK = 0x48454144  # "HEAD": one migration at a time in a database
_FILE = re.compile(r"(\d{4}_[a-z0-9_]+)\.sql")

SELECT_APPLIED = "SELECT name, digest FROM {schema}.migrations"
INSERT_APPLIED = "INSERT INTO {schema}.migrations (name, digest) VALUES ($1, $2)"
# Gate runs of before had every number: whoever has not numbered a run yet begins above them, in its own class.
START_RUNS = """
SELECT setval('{schema}.job_run_id', first, false)
FROM {schema}.job_run_id, LATERAL (SELECT coalesce(max(run_id), 0) AS taken FROM governance.runs) AS runs,
    LATERAL (SELECT (taken / $1 + 1) * $1 + $2 AS first) AS found
WHERE NOT is_called AND last_value <= taken
"""


class MigrationError(RuntimeError):
    """The database can't be brought to this version; the message says why."""


def login_role(service: str) -> str:
    """The role that a service logs in as."""
    return f"headgate_{service}"


def owner_role(service: str) -> str:
    """The role that owns a service's tables; nobody logs in as it."""
    return f"headgate_{service}_owner"


def _files(package: str) -> list[tuple[str, str]]:
    folder = resources.files(package) / "migrations"
    if not folder.is_dir():  # a service without tables of its own
        return []
    found = [(match[1], entry) for entry in folder.iterdir() if (match := _FILE.fullmatch(entry.name))]
    return [(name, entry.read_text()) for name, entry in sorted(found, key=lambda pair: pair[0])]


def scripts(service: str) -> list[tuple[str, str]]:
    """(name, SQL) of a service: the common ones first, then its own, in order of their numbers."""
    values = {"{login}": login_role(service), "{first_run_id}": str(run_class(service))}
    common = []
    for name, text in _files("libs.common"):
        for place, value in values.items():
            text = text.replace(place, value)
        common.append((f"common/{name}", text))
    return common + _files(f"services.{service}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def make_roles(admin: asyncpg.Connection, passwords: Mapping[str, str]) -> None:
    """Make the owner and login roles of every service and set the login passwords (cluster-wide)."""
    for service in SERVICES:
        for role, options in ((owner_role(service), "NOLOGIN"), (login_role(service), "LOGIN")):
            with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                await admin.execute(f"CREATE ROLE {role} {options} NOSUPERUSER NOCREATEDB NOCREATEROLE")
        if password := passwords.get(service):
            await admin.execute(f"ALTER ROLE {login_role(service)} PASSWORD {_literal(password)}")
        # A managed server's administrator is no superuser: it must be a member to make things that the owner owns.
        await admin.execute(f"GRANT {owner_role(service)} TO CURRENT_USER")


async def migrate(admin: asyncpg.Connection, passwords: Mapping[str, str]) -> list[str]:
    """Bring one database to this version; returns the names of the scripts that ran. Safe to run again and at once.

    Raises `MigrationError` if an applied script has changed since, or a lock is not had within its time-out.
    """
    try:
        await admin.execute("SET lock_timeout = '30s'")
        await admin.execute("SELECT pg_advisory_lock($1)", _LOCK)
    except asyncpg.LockNotAvailableError as error:
        raise MigrationError("another migration has been running for 30 s; wait for it, then try again") from error
    try:
        await make_roles(admin, passwords)
        database = await admin.fetchval("SELECT current_database()")
        await admin.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
        await admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        done: list[str] = []
        for service in SERVICES:
            await admin.execute(f'GRANT CONNECT ON DATABASE "{database}" TO {login_role(service)}')
            done += await _migrate_service(admin, service)
        for service in SERVICES:
            await admin.execute(START_RUNS.format(schema=service), RUN_CLASSES, run_class(service))
        return done
    finally:
        await admin.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _migrate_service(admin: asyncpg.Connection, service: str) -> list[str]:
    owner, login = owner_role(service), login_role(service)
    await admin.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {owner}")
    await admin.execute(f"GRANT USAGE ON SCHEMA {service} TO {login}")
    await admin.execute(
        f"CREATE TABLE IF NOT EXISTS {service}.migrations "
        "(name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await admin.execute(f"GRANT SELECT ON {service}.migrations TO {login}")
    applied = {row["name"]: row["digest"] for row in await admin.fetch(SELECT_APPLIED.format(schema=service))}
    done = []
    for name, text in scripts(service):
        digest = hashlib.sha256(text.encode()).hexdigest()
        if name in applied:
            if applied[name] != digest:
                raise MigrationError(f"{service}/{name} has changed since it was applied; add a new script instead")
            continue
        async with admin.transaction():
            await admin.execute(f"SET LOCAL ROLE {owner}")
            await admin.execute(f"SET LOCAL search_path = {service}")
            await admin.execute("SET LOCAL lock_timeout = '5s'")
            await admin.execute(text)
            await admin.execute("RESET ROLE")
            await admin.execute(INSERT_APPLIED.format(schema=service), name, digest)
        done.append(f"{service}/{name}")
    return done


async def compare(pool: asyncpg.Pool, service: str) -> None:
    """Raise `MigrationError` unless every script of this version is applied in the service's schema."""
    try:
        rows = {row["name"] for row in await pool.fetch(SELECT_APPLIED.format(schema=service))}
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise MigrationError(f"the schema {service} has never been migrated; run `headgate migrate`") from error
    for name, _ in scripts(service):
        if name not in rows:
            raise MigrationError(f"{service}/{name} is not applied; run `headgate migrate`")
