"""The peer of queries: a plain FastAPI application with asyncpg in one process.

It has the same SQL, models, answers and server settings as Headgate, and no token check, permission, contract, bus,
trace, measure or ETag.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Query

from libs.common.contracts.gateway.sites import SiteView
from libs.common.contracts.tracker.items import Item

ITEMS = """
SELECT * FROM tracker.item
WHERE site = $1 AND gate = $2 AND (is_active OR $3) AND ($4::text IS NULL OR status = $4)
ORDER BY is_active DESC, priority, due_at, id LIMIT $5
"""
SITES = "SELECT site, title, created_at FROM gateway.sites ORDER BY site LIMIT 1000"


async def prepare(connection: asyncpg.Connection) -> None:
    """Read jsonb as Python values."""
    await connection.set_type_codec(
        "jsonb", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
    )


def make_app(database_url: str) -> FastAPI:
    """The application."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(database_url, min_size=8, max_size=8, init=prepare) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/items")
    async def items(
        gate: str = "operations",
        include_inactive: bool = False,
        status: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 200,
    ) -> list[Item]:
        rows = await app.state.pool.fetch(ITEMS, "global", gate, include_inactive, status, limit)
        return [Item.model_validate(dict(row)) for row in rows]

    @app.get("/sites")
    async def sites() -> list[SiteView]:
        return [SiteView(**row) for row in await app.state.pool.fetch(SITES)]

    return app


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    uvicorn.run(
        make_app(given["database_url"]),
        host="127.0.0.1",
        port=given["port"],
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )
