"""A service that is up: its parts, the tasks that live as long as it does, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from libs.common.bus import Bus
from libs.common.jobs import Jobs
from libs.common.loop import Consumer
from libs.common.outbox import Relay
from libs.common.queries import QueryServer
from libs.common.service import Clock, Service
from libs.common.settings import Settings
from libs.common.telemetry import log
from libs.common.workers import Worker

STOP_TIMEOUT_S = 20
CANCEL_TRIES = 10


@dataclass
class Running:
    """A service that is up: its parts, and `stop`, which finishes the messages in hand."""

    service: Service
    settings: Settings
    pool: asyncpg.Pool
    bus: Bus
    relay: Relay
    clock: Clock
    instance: str
    queries: QueryServer
    consumers: list[Consumer] = field(default_factory=list)
    jobs: Jobs | None = None
    workers: list[Worker] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def wake_workers(self) -> None:
        """Something was committed."""
        for worker in self.workers:
            worker.wake()

    async def stop(self) -> None:
        """Stop pulling, finish what is in hand, send the outbox, close. Safe to call twice."""
        for consumer in self.consumers:
            consumer.stop()
        if self.jobs:
            self.jobs.stop()
        for worker in self.workers:
            worker.stop()
        await self.queries.stop()
        working = [task for task in self.tasks if task.get_name().startswith(("consumer", "jobs", "worker"))]
        if working:
            await asyncio.wait(working, timeout=STOP_TIMEOUT_S)
        await self.relay.stop()
        sending = [task for task in self.tasks if task.get_name() == "relay"]
        if sending:
            await asyncio.wait(sending, timeout=5)
        await end_tasks(self.tasks)
        await self.bus.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.pool.close(), 5)
        self.pool.terminate()


async def end_tasks(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have ended, at most 10 s.

    Again and again: on Python 3.11 `asyncio.wait_for` swallows a cancellation that comes with its result, and a task
    that loops would go on for ever (a stop of a service hung so, once in some hundred under load).
    """
    left = {task for task in tasks if not task.done()}
    for _ in range(CANCEL_TRIES):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=1)
    for task in left:
        log.error("task does not end", task=task.get_name())


def give_up(task: str, error: BaseException) -> None:
    """Say what a task died of, and tell this process to stop; the supervisor starts it again."""
    log.error("task died", task=task, error=repr(error), exc_info=error)
    os.kill(os.getpid(), signal.SIGTERM)


def spawn(running: Running, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a task for as long as the service is up. One that dies takes the process down: the supervisor restarts it."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            give_up(name, error)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    running.tasks.append(task)
    return task
