"""How Postgres would run a statement, for the tests that want an index to be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import orjson

Node = dict[str, Any]


def nodes(plan: str) -> list[Node]:
    """All nodes of a plan that EXPLAIN gave as JSON, the top first."""
    return list(_below(orjson.loads(plan)[0]["Plan"]))


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _below(child)


async def generic_plan(connection: asyncpg.Connection, sql: str) -> str:
    """The plan for any values, as JSON, which is what a pool's prepared statements may become.

    By name: EXPLAIN (GENERIC_PLAN) with values bound to it, as asyncpg does, plans for those very values.
    """
    places = {*re.findall(r"\$\d+", sql)}
    values = f"({', '.join('NULL' for _ in places)})" if places else ""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE one AS {sql}")
    try:
        plan: str = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE one{values}")
    finally:
        await connection.execute("DEALLOCATE one")
        await connection.execute("RESET plan_cache_mode")
    return plan
