"""A receiver, and the edge with a notifier that may call it, which most modules here sit at."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink, receiver
from tests.stack import Stack


@pytest_asyncio.fixture
async def sink() -> AsyncIterator[Sink]:
    """What is called; it answers as it is told to."""
    async with receiver() as found:
        yield found


@pytest_asyncio.fixture
async def desk(stack: Stack, sink: Sink) -> AsyncIterator[Desk]:
    """The edge and the notifier."""
    found = await open_desk(stack, sink)
    yield found
    await found.http.close()
