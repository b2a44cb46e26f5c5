"""What is counted at the edge, and told to the audit log once a minute as an event.

Crash here means: at most the counts of the running minute are lost. They are never more than 200 rows a minute, so that
a stranger can't fill a stream.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel

from libs.common import outbox
from libs.common.contracts.base import Event
from libs.common.postgres import UNREACHABLE
from libs.common.running import Running
from libs.common.service import Staged
from libs.common.telemetry import log
from libs.common.unasked import unasked

MAX_ROWS = 200
MAX_MINUTES_HELD = 60
K = TypeVar("K", bound=tuple[object, ...])


class Minutes(ABC, Generic[K]):
    """The counts of the running minute, and of earlier ones that could not be stored yet."""

    event: Event

    def __init__(self, running: Running) -> None:
        self.running = running
        self._rows: Counter[K] = Counter()
        self._overflow = 0
        self._minute = minute_of(running.clock())
        self._held: list[tuple[datetime, BaseModel, list[Staged]]] = []

    @abstractmethod
    def told(self, minute: datetime, rows: Mapping[K, int], overflow_count: int) -> BaseModel:
        """The event's data for one minute."""

    def beside(self, minute: datetime, rows: Mapping[K, int]) -> list[Staged]:
        """What goes to the audit log alone."""
        return []

    def add(self, key: K, rows_kept: int = 0) -> None:
        """Count one more. ``rows_kept``: so many of the minute's rows are for others."""
        minute = minute_of(self.running.clock())
        if minute != self._minute:
            self._close_minute(minute)
        if key in self._rows or len(self._rows) < MAX_ROWS - rows_kept:
            self._rows[key] += 1
        else:
            self._overflow += 1

    async def flush(self) -> None:
        """Stage what was counted as events; keeps it for the next time if the database is away."""
        self._close_minute(minute_of(self.running.clock()))
        held, self._held = self._held, []
        if not held:
            return
        now = self.running.clock()
        try:
            async with self.running.pool.acquire(timeout=5) as connection, connection.transaction():
                tx = unasked("gateway", connection, now)
                for minute, data, beside in held:
                    tx.emit(self.event, data, subject=name_of(minute))
                    tx.staged.extend(beside)
                await outbox.stage(connection, tx.staged)
        except UNREACHABLE as error:
            log.warning("counts not stored yet", event_name=self.event.name, minutes=len(held), error=repr(error))
            self._held = (held + self._held)[-MAX_MINUTES_HELD:]
            return
        self.running.relay.nudge()

    async def keep_flushing(self) -> None:
        """Flush shortly after every full minute until cancelled."""
        while True:
            await asyncio.sleep(61 - self.running.clock().second)
            await self.flush()

    def _close_minute(self, next_minute: datetime) -> None:
        if self._rows or self._overflow:
            data = self.told(self._minute, self._rows, self._overflow)
            beside = self.beside(self._minute, self._rows)
            self._held = [*self._held, (self._minute, data, beside)][-MAX_MINUTES_HELD:]
            self._rows, self._overflow = Counter(), 0
        self._minute = next_minute


def name_of(minute: datetime) -> str:
    """What the counts of a minute are about."""
    return minute.strftime("%Y-%m-%dT%H:%MZ")


def minute_of(now: datetime) -> datetime:
    """The beginning of its minute."""
    return now - timedelta(seconds=now.second, microseconds=now.microsecond)
