"""Refused requests (401, 403, 429), counted per caller, route and minute, and told to the audit log once a minute.

Crash here means: at most the counts of the running minute are lost. They are never more than 200 rows a minute, so that
a stranger can't fill a stream.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

from libs.common import outbox
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.gateway.refusals import RefusalCount, RefusalsCounted, refusals_counted
from libs.common.ids import uuid7
from libs.common.postgres import UNREACHABLE
from libs.common.running import Running
from libs.common.service import Tx
from libs.common.telemetry import log

STATUSES = frozenset({401, 403, 429})
MAX_ROWS = 200
MAX_MINUTES_HELD = 60


class Refusals:
    """The counts of the running minute, and of earlier ones that could not be stored yet."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._rows: Counter[tuple[str, str, int]] = Counter()
        self._overflow = 0
        self._minute = _minute_of(running.clock())
        self._held: list[RefusalsCounted] = []

    def count(self, who: str, route: str, status: int) -> None:
        """Count one refused request."""
        minute = _minute_of(self._running.clock())
        if minute != self._minute:
            self._close_minute(minute)
        key = (who, route, status)
        if key in self._rows or len(self._rows) < MAX_ROWS:
            self._rows[key] += 1
        else:
            self._overflow += 1

    async def flush(self) -> None:
        """Stage what was counted as events; keeps it for the next time if the database is away."""
        self._close_minute(_minute_of(self._running.clock()))
        held, self._held = self._held, []
        if not held:
            return
        now = self._running.clock()
        cause = CloudEvent(id=str(uuid7()), source="/headgate/gateway", type="", time=now, actor="service:gateway")
        try:
            async with self._running.pool.acquire(timeout=5) as connection, connection.transaction():
                tx = Tx("gateway", connection, cause, now)
                for minute in held:
                    tx.emit(refusals_counted, minute, subject=minute.minute.strftime("%Y-%m-%dT%H:%MZ"))
                await outbox.stage(connection, tx.staged)
        except UNREACHABLE as error:
            log.warning("refusals not stored yet", minutes=len(held), error=repr(error))
            self._held = (held + self._held)[-MAX_MINUTES_HELD:]
            return
        self._running.relay.nudge()

    async def keep_flushing(self) -> None:
        """Flush shortly after every full minute until cancelled."""
        while True:
            await asyncio.sleep(61 - self._running.clock().second)
            await self.flush()

    def _close_minute(self, next_minute: datetime) -> None:
        if self._rows or self._overflow:
            items = [RefusalCount(who=w, route=r, status=s, count=n) for (w, r, s), n in self._rows.items()]
            counted = RefusalsCounted(
                minute=self._minute, instance=self._running.instance, items=items, overflow_count=self._overflow
            )
            self._held = [*self._held, counted][-MAX_MINUTES_HELD:]
            self._rows, self._overflow = Counter(), 0
        self._minute = next_minute


def _minute_of(now: datetime) -> datetime:
    return now - timedelta(seconds=now.second, microseconds=now.microsecond)
