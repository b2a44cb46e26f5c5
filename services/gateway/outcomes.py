"""Waiting for commands: an outcome that arrives wakes the request that waits for it.

Crash here means: the caller's connection breaks, but the command is on disk and its outcome will be stored; the caller
finds it with the same Idempotency-Key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nats.aio.msg import Msg

from libs.common.bus import Bus
from libs.common.problems import Unavailable

MAX_WAITING = 2_000

Key = tuple[str, str]  # command id, digest of the body


@dataclass(frozen=True, slots=True)
class OutcomeMessage:
    """How a command ended: an HTTP status and the result as JSON, or a problem document."""

    status: int
    body: bytes


class Waiter:
    """One request that waits. Use as a context manager around publishing and waiting."""

    def __init__(self, outcomes: Outcomes, key: Key) -> None:
        self._outcomes = outcomes
        self._key = key
        self._future: asyncio.Future[OutcomeMessage] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Waiter:
        self._outcomes.add(self._key, self._future)
        return self

    def __exit__(self, *_: object) -> None:
        self._outcomes.remove(self._key, self._future)

    async def wait(self, seconds: float) -> OutcomeMessage | None:
        """The outcome, or None if it did not come in time."""
        try:
            return await asyncio.wait_for(self._future, seconds)
        except TimeoutError:
            return None


class Outcomes:
    """The requests of this process that wait, by command id and digest: under one Idempotency-Key, a request with
    another body gets another answer (422)."""

    def __init__(self) -> None:
        self._waiting: dict[Key, set[asyncio.Future[OutcomeMessage]]] = {}
        self._count = 0

    async def start(self, bus: Bus, instance: str) -> None:
        """Hear this instance's outcomes; the subscription lives as long as the connection."""
        await bus.nats.subscribe(bus.topology.outcome_subject(instance), cb=self.on_message)

    def waiter(self, command_id: str, digest: str) -> Waiter:
        """A place in the queue; raises `Unavailable` if too many wait already."""
        if self._count >= MAX_WAITING:
            raise Unavailable(
                "Too many requests wait for their outcome; try again, or send `Prefer: respond-async`.",
                retry_after_s=1,
            )
        return Waiter(self, (command_id, digest))

    async def on_message(self, message: Msg) -> None:
        """Wake who waits for it; an outcome that nobody waits for is stored in its service all the same."""
        headers = message.headers or {}
        key = (headers.get("Command-Id", ""), headers.get("Digest", ""))
        try:
            outcome = OutcomeMessage(int(headers.get("Status", "")), message.data)
        except ValueError:
            return
        for future in self._waiting.get(key, ()):
            if not future.done():
                future.set_result(outcome)

    def add(self, key: Key, future: asyncio.Future[OutcomeMessage]) -> None:
        """Called by `Waiter`."""
        self._waiting.setdefault(key, set()).add(future)
        self._count += 1

    def remove(self, key: Key, future: asyncio.Future[OutcomeMessage]) -> None:
        """Called by `Waiter`."""
        futures = self._waiting[key]
        futures.discard(future)
        self._count -= 1
        if not futures:
            del self._waiting[key]
