"""Events that a part of the edge hears beside the loop, so that what it remembers goes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from libs.common.bus import NATS_ERRORS, Bus
from libs.common.contracts.base import Event


class Hearing:
    """Plain subscriptions without durables: what is not heard is only remembered some seconds longer."""

    def __init__(self) -> None:
        self._open: list[Subscription] = []

    async def start(self, bus: Bus, heard: Callable[[Msg], Awaitable[None]], *events: Event) -> None:
        """Call ``heard`` for each of these events, of every site. Raises NATS errors."""
        for event in events:
            subject = bus.topology.event_filter(None, event.name)
            self._open.append(await bus.nats.subscribe(subject, cb=heard))

    async def stop(self) -> None:
        """Hear no more."""
        for subscription in self._open:
            with contextlib.suppress(*NATS_ERRORS):  # if the connection is gone, so is the subscription
                await subscription.unsubscribe()
