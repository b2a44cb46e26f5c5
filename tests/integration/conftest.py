"""The tracker's desk and the office around it, which several modules of tests sit at."""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import structlog

from libs.common.migrations import login_role
from libs.common.postgres import make_pool
from libs.common.telemetry import setup_logs
from services.audit import checkpoints
from services.tracker.service import SERVICE
from tests.command_line import Tool, tool_at
from tests.http_edge import Http
from tests.integration.tracker_cockpit import Cockpit, staffed
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_office import SITE, Office
from tests.stack import Stack, drop_database


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The JSON log lines of this test."""
    before, handlers = structlog.get_config(), logging.root.handlers[:]
    stream = io.StringIO()
    setup_logs("test", "info", "json", stream)
    yield stream
    structlog.configure(**before)
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="module")
def tracker_url(admin_database_url: str, database_template: str) -> Iterator[str]:
    """A database of this module, with the rights of the tracker's login only. Each test has a site of its own in it."""
    url = f"{admin_database_url.rpartition('/')[0]}/tracker_{secrets.token_hex(4)}"

    async def make() -> None:
        admin = await asyncpg.connect(admin_database_url)
        await admin.execute(f"CREATE DATABASE {url.rpartition('/')[2]} TEMPLATE {database_template}")
        await admin.close()

    asyncio.run(make())
    yield f"{url}?role={login_role('tracker')}"
    asyncio.run(drop_database(admin_database_url, url))


@pytest.fixture
async def desk(tracker_url: str) -> AsyncIterator[Desk]:
    """The tracker's handlers on that database."""
    pool = await make_pool(tracker_url, schema="tracker", size=4, application="test")
    yield Desk(pool)
    await pool.close()


@pytest.fixture
def quick_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit log signs what is new at once, for tests that wait for it often."""
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.02)


@pytest_asyncio.fixture
async def office(stack: Stack) -> AsyncIterator[Office]:
    """An edge with a site, and a tracker, on the real bus."""
    edge = await Http(stack).open()
    await edge.site(SITE)
    await stack.start(SERVICE)
    yield Office(edge)
    await edge.close()


@pytest_asyncio.fixture
async def cockpit(tracker_url: str) -> AsyncIterator[Cockpit]:
    """The tracker's handlers with people, chains and items that nobody has."""
    pool = await make_pool(tracker_url, schema="tracker", size=10, application="test")
    yield await staffed(pool)
    await pool.close()


@pytest.fixture
def tool(http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tool:
    """The command line against the module's own edge, `http`."""
    return tool_at(http.url, monkeypatch, tmp_path)
