"""A foreign system on the bus: nats-py with a token of Headgate, and the refusals that the server sent to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from libs.common.admin import service_url

WAIT_S = 15.0


class Guest:
    """A connection as a subscriber; ``reject`` holds what the server refused."""

    def __init__(self, view: dict[str, Any], namespace: str) -> None:
        self.view, self.namespace = view, namespace
        self.refusals: list[str] = []
        self.ended = asyncio.Event()
        self.client: Client
        self.js: JetStreamContext

    @property
    def user(self) -> str:
        """Its name on the bus."""
        return str(self.view["user"])

    async def open(self, nats_url: str, token: str, **more: Any) -> Guest:
        """Log in. Raises `nats.errors.Error`."""

        async def note(error: Exception) -> None:
            self.refusals.append(str(error).lower())

        async def over() -> None:
            self.ended.set()

        self.client = await nats.connect(
            service_url(nats_url, self.user, token),
            **{
                "inbox_prefix": self.view["inbox_prefix"],
                "error_cb": note,
                "disconnected_cb": over,
                "allow_reconnect": False,
                "connect_timeout": 5,
            }
            | more,
        )
        self.js = self.client.jetstream(prefix=f"{self.namespace}.subscriber", timeout=5)
        return self

    async def pull(self, count: int = 10, timeout_s: float = 3.0) -> list[Msg]:
        """Up to so many events; none if none comes in time."""
        subscription = await self.js.pull_subscribe_bind(self.user, stream=self.view["stream"])
        try:
            return await subscription.fetch(count, timeout=timeout_s)
        except (nats.errors.TimeoutError, TimeoutError):
            return []
        finally:
            await subscription.unsubscribe()

    async def ack(self, message: Msg, word: str = "") -> None:
        """Acknowledge an event."""
        body = message.reply + (f" {word}" if word else "")
        await self.client.publish(f"{self.namespace}.subscriber.ACK.{self.user}", body.encode())
        await self.client.flush()

    async def may(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Whether the server lets this pass without a word."""
        self.refusals.clear()
        await act()
        await self.client.flush(5)
        await self.client.flush(5)  # only the second answer comes after a refusal
        return not any("permissions violation" in text for text in self.refusals)

    async def may_publish(self, subject: str, reply: str = "") -> bool:
        """Whether it may publish there."""
        return await self.may(lambda: self.client.publish(subject, b"", reply=reply))

    async def may_subscribe(self, subject: str) -> bool:
        """Whether it may subscribe there."""
        return await self.may(lambda: self.client.subscribe(subject))


async def until(what: str, seen: Callable[[], Awaitable[Any]], within_s: float = WAIT_S) -> Any:
    """Poll until something true is returned."""
    deadline = time.monotonic() + within_s
    while not (found := await seen()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.02)
    return found
