"""The admin step: schemas, roles, streams and durables, made with administrators' addresses; services never do it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import nats

from libs.common import migrations, topology
from libs.common.bus import NATS_ERRORS, servers_of
from libs.common.contracts import SERVICES
from libs.common.postgres import UNREACHABLE
from libs.common.topology import Topology

UNFINISHED_SCHEMA = "headgate_restore"
"""Stands in a database while a backup is being restored into it."""
UNFINISHED = f"SELECT to_regclass('{UNFINISHED_SCHEMA}.restore') IS NOT NULL"


class AdminError(RuntimeError):
    """The admin step can't be done; the message is a sentence for the operator."""


def derived_password(secret: str, purpose: str, service: str) -> str:
    """A service's password, derived from the installation's one secret: 32 hex digits of HMAC-SHA-256."""
    return hmac.new(secret.encode(), f"{purpose}/{service}".encode(), hashlib.sha256).hexdigest()[:32]


def passwords(secret: str, purpose: str) -> dict[str, str]:
    """The passwords of all services for ``postgres`` or ``nats``."""
    return {service: derived_password(secret, purpose, service) for service in SERVICES}


def service_url(admin_url: str, user: str, password: str) -> str:
    """An administrator's address with another user: how a service's own address is derived."""
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{host}"))


async def prepare(
    admin_database_url: str,
    admin_nats_url: str,
    namespace: str,
    database_passwords: Mapping[str, str],
    *,
    replicas: int | None = None,
    narrow: bool = False,
) -> list[str]:
    """Run migrations and make the topology; returns a line for each thing done. Raises `AdminError`.

    ``replicas`` and ``narrow`` as in `topology.apply`.
    """
    try:
        connection = await asyncpg.connect(admin_database_url, timeout=10)
    except UNREACHABLE as error:
        raise AdminError(f"PostgreSQL can't be reached as an administrator: {error}") from error
    except asyncpg.PostgresError as error:
        raise AdminError(f"PostgreSQL refused the administrator: {error}") from error
    try:
        if await connection.fetchval(UNFINISHED):
            raise AdminError(
                "a restore into this installation was not finished: give the same `headgate backup restore` again"
            )
        done = [f"migration {name} applied" for name in await migrations.migrate(connection, database_passwords)]
    except (migrations.MigrationError, asyncpg.PostgresError) as error:
        raise AdminError(f"the database can't be migrated: {error}") from error
    finally:
        await connection.close()
    try:
        client = await nats.connect(servers_of(admin_nats_url), connect_timeout=5, allow_reconnect=False)
    except NATS_ERRORS as error:
        raise AdminError(f"NATS can't be reached as an administrator: {error!r}") from error
    try:
        js = client.jetstream(timeout=10)
        done += await topology.apply(js, Topology(namespace), replicas=replicas, narrow=narrow)
    except NATS_ERRORS as error:
        raise AdminError(f"the streams can't be made: {error!r}") from error
    finally:
        await client.close()
    return done
