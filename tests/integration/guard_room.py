"""What tests of the guard share: a target that fails, and awaiting how its circuit stands."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.notifier_desk import Desk
from tests.integration.sink import Sink, answer

GUARD = "/ops/alerts/channels/guard"
HALTED = "governance.line.halted"


async def circuits(desk: Desk) -> list[dict[str, Any]]:
    """All circuits of the site."""
    items: list[dict[str, Any]] = (await desk.ask("GET", GUARD))["items"]
    return items


async def until_guard(desk: Desk, **wanted: Any) -> dict[str, Any]:
    """Await the one circuit in that state."""
    async with asyncio.timeout(15):
        while True:
            for one in await circuits(desk):
                if all(one[name] == value for name, value in wanted.items()):
                    return one
            await asyncio.sleep(0.05)


async def until_healthy(desk: Desk) -> None:
    """Await that nothing fails any more."""
    async with asyncio.timeout(15):
        while await circuits(desk):
            await asyncio.sleep(0.05)


async def broken(desk: Desk, sink: Sink, held: int = 2) -> dict[str, Any]:
    """A target at which three attempts have failed, and so many deliveries that are held back."""
    sink.says["/hook"] = answer(503)
    made = await desk.subscribe()
    for count in (1, 2, 3):
        await desk.halt()
        await desk.until("retrying", count)
    await until_guard(desk, circuit="open")
    for _ in range(held):
        await desk.halt()
    await desk.until("suppressed", held)
    return made
