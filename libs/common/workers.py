"""What a service does beside its messages: workers, such as what sends to the outside, and its own gauges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import asyncpg

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from libs.common.bus import Bus


class Bound(Protocol):
    """What needs the service's connection to NATS."""

    def bind(self, bus: Bus, /) -> object:
        """Use this connection."""


class Worker(Protocol):
    """Lives as long as its service. What its `run` raises takes the process down; the supervisor starts it again."""

    def wake(self) -> None:
        """Something was committed: there may be work."""

    def stop(self) -> None:
        """Begin nothing more; `run` ends when what is in hand is finished, within 15 s."""

    async def run(self) -> None:
        """Until stopped. While a server is away it waits."""


class WorkerMaker(Protocol):
    """Makes a worker when its service has connected. ``nudge`` says that messages were put into the outbox."""

    def __call__(self, pool: asyncpg.Pool, clock: Callable[[], datetime], nudge: Callable[[], None], /) -> Worker: ...


class Gauges(Protocol):
    """Sets a service's own gauges from its tables, every few seconds."""

    def __call__(self, pool: asyncpg.Pool, registry: CollectorRegistry, /) -> Awaitable[None]: ...
