"""Where questions go: over the bus to another service, or to the gateway's own handlers in this process."""

from __future__ import annotations

import orjson

from libs.common.bus import Bus, Reply
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Query
from libs.common.queries import QueryServer


class Questions:
    """Asks who can answer. ``here`` answers the questions of this service: a hop over the bus would add nothing."""

    def __init__(self, bus: Bus, here: QueryServer, service: str) -> None:
        self._bus = bus
        self._here = here
        self._service = service

    async def ask(self, query: Query, envelope: CloudEvent, data: bytes, *, timeout_s: float = 5.0) -> Reply:
        """The reply to a question with this envelope and data (JSON). Raises `Unavailable`, `TimedOut`."""
        if query.service != self._service:
            return await self._bus.ask(query, envelope, data, timeout_s=timeout_s)
        envelope.data = orjson.loads(data)  # the very values that would have come over the bus
        return await self._here.ask(query, envelope, timeout_s=timeout_s)
