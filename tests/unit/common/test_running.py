"""How a service's tasks end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from types import SimpleNamespace
from typing import Any

from libs.common.running import end_tasks, give_up, spawn


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    swallowed = 0

    async def deaf() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    async def quick() -> None:
        return

    task, done = asyncio.create_task(deaf()), asyncio.create_task(quick())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks([task, done])
    assert (swallowed, task.cancelled(), done.done()) == (2, True, True)


async def test_what_a_task_dies_of_does_not_stop_the_others() -> None:
    async def broken() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise RuntimeError("in the middle of it")

    task, other = asyncio.create_task(broken()), asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    await end_tasks([task, other])
    assert isinstance(task.exception(), RuntimeError)
    assert other.cancelled()


async def test_a_task_that_dies_is_told_of_and_one_that_is_cancelled_is_not(deaths: list[str]) -> None:
    async def broken() -> None:
        raise RuntimeError("in the middle of it")

    service: Any = SimpleNamespace(tasks=[])
    cancelled = spawn(service, "cancelled", asyncio.sleep(60))
    cancelled.cancel()
    await asyncio.wait([cancelled, spawn(service, "broken", broken())])
    await asyncio.sleep(0)
    (told,) = deaths
    assert told.startswith("broken: ")
    assert "in the middle of it" in told
    deaths.clear()


async def test_to_give_up_is_to_be_told_to_stop() -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    try:
        give_up("task", RuntimeError("in the middle of it"))
        async with asyncio.timeout(5):
            await told.wait()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
