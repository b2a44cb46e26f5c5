"""What the steps that break something share: signals, subscriptions, and hands on the database and the bus."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import asyncpg
import httpx2
import nats

from deploy.local import LocalStack
from tests.outside.world import check

_numbers = count(1)


def signalled(http: httpx2.Client) -> None:
    """Send a signal, of which subscriptions are told."""
    event = {"specversion": "1.0", "id": f"alerts-{next(_numbers)}", "source": "/outside", "type": "ops.preflight"}
    data = {"overall_status": "ok", "error_count": 0, "warning_count": 0}
    headers = {"Content-Type": "application/cloudevents+json"}
    sent = http.post("/api/signals", json=event | {"data": data}, headers=headers)
    check(sent.status_code == 201, sent.text)


def subscribed(http: httpx2.Client, name: str, endpoint: str) -> None:
    """Have signals told to a receiver."""
    body = {"name": name, "event_types": ["governance.signal.*"], "endpoint": endpoint}
    made = http.post("/api/subscriptions", json=body)
    check(made.status_code == 201, made.text)


async def execute(stack: LocalStack, *statements: str) -> None:
    """Have these done to the database, in one transaction, by whoever owns its server."""
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement)
    finally:
        await connection.close()


async def bound(stack: LocalStack, stream: str, max_bytes: int | None) -> int:
    """Let a stream hold so many bytes; None: no more than it does now. Returns how many it could hold before."""
    connection = await nats.connect(stack.servers.nats_url)
    try:
        found = await _asked(connection, f"INFO.{stream}", {})
        config = found["config"]
        wanted = found["state"]["bytes"] if max_bytes is None else max_bytes
        await _asked(connection, f"UPDATE.{stream}", config | {"max_bytes": wanted})
    finally:
        await connection.close()
    return int(config["max_bytes"])


async def _asked(connection: Any, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await connection.request(f"$JS.API.STREAM.{operation}", json.dumps(body).encode(), timeout=5)
    found: dict[str, Any] = json.loads(reply.data)
    check("error" not in found, f"{operation}: {found.get('error')}")
    return found


async def waits_for_lock(connection: Any, table: str) -> bool:
    """Whether somebody waits for a table that is locked."""
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted)"
    return bool(await connection.fetchval(waiting, table))
