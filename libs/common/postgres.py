"""PostgreSQL through asyncpg: pools, codecs, and which errors mean that the server can't be reached."""

from __future__ import annotations

from functools import partial
from typing import Any

import asyncpg
import orjson

from libs.common.telemetry import log_query

# A transaction that lost to another one: it has left nothing, and may be tried again at once.
LOST_RACES = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# The server is away, restarting, full or read-only: nothing is wrong with the message, so nothing counts against it.
UNREACHABLE: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # A connection that is used once more after the server's last words ("terminating because of a crash") and before
    # the socket closes: "cannot switch to state 12; another operation (2) is in progress".
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)


def _dumps(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


async def _prepare(connection: asyncpg.Connection, service: str) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=_dumps, decoder=orjson.loads, schema="pg_catalog")
    log_query(connection, service)


async def _keep(connection: Any) -> None:
    """No RESET between users of a connection: we set no session state, and it would cost a round trip each time."""


async def make_pool(url: str, *, schema: str, size: int, application: str) -> asyncpg.Pool:
    """A pool whose connections see one schema; raises what `UNREACHABLE` names if the server is away."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=partial(_prepare, service=schema),
        reset=_keep,
        command_timeout=60,
        timeout=5,
        server_settings={"search_path": schema, "application_name": application},
    )
