"""Orders that the edge refused to a caller whom it knows (403): a record each, for the audit log alone.

Who may do less than they try is worth an entry that says what, from where and why. A flood of tries is not: of one
caller 10 a minute are told and of all 500, by each gateway; the counts of refusals (`Refusals`) hold every one.
Crash here means: what was refused in the last second or so leaves no record.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime

from starlette.requests import Request

from libs.common import outbox, records
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command
from libs.common.ids import uuid7
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Forbidden, Unavailable
from libs.common.running import Running
from libs.common.service import Staged
from libs.common.telemetry import log
from services.gateway.access import SITE
from services.gateway.context import Context, context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.minutes import minute_of
from services.gateway.personal.clients import Clients
from services.gateway.refusals import STRANGER

MOST_OF_CALLER = 10
MOST = 500
PAUSE_S = 1.0
ABSENT: tuple[type[BaseException], ...] = (*UNREACHABLE, Unavailable)


class Denials:
    """What was refused since the last flush, and how many records this minute has."""

    def __init__(self, running: Running, clients: Clients) -> None:
        self._running = running
        self._clients = clients
        self._minute = minute_of(running.clock())
        self._told: Counter[str] = Counter()
        self._held: list[tuple[CloudEvent, bytes, datetime]] = []
        self._flushing = asyncio.Lock()  # who has flushed may rely on it that all is staged

    def note(self, request: Request, command: Command, refusal: Forbidden) -> None:
        """Keep one for the log, unless its caller is not known or had its share of this minute."""
        context = context_of(request)
        now = self._running.clock()
        if (minute := minute_of(now)) != self._minute:
            self._minute, self._told = minute, Counter()
        if context.who.startswith(STRANGER) or self._told[context.who] >= MOST_OF_CALLER:
            return
        if self._told.total() >= MOST or len(self._held) >= MOST:
            return
        self._told[context.who] += 1
        self._held.append((_tried(request, context, command), refusal.body(), now))

    async def flush(self) -> None:
        """Stage what is held; keeps it for the next time if the database is away."""
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        try:
            staged = [await self._record(*one) for one in held]
            async with self._running.pool.acquire(timeout=5) as connection, connection.transaction():
                await outbox.stage(connection, staged)
        except ABSENT as error:
            log.warning("refused orders not stored yet", count=len(held), error=repr(error))
            self._held = (held + self._held)[:MOST]
            return
        self._running.relay.nudge()

    async def _record(self, tried: CloudEvent, problem: bytes, now: datetime) -> Staged:
        address, agent = await self._clients.seal(tried.actor, tried.clientaddress, tried.clientagent)
        return records.denial(replace(tried, clientaddress=address, clientagent=agent), problem, now)

    async def keep_flushing(self) -> None:
        """Flush every second until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_S)
            await self.flush()


def _tried(request: Request, context: Context, command: Command) -> CloudEvent:
    """The command as it would have been sent, with no more of its body than what the path names."""
    asked = request.query_params.get("site", "")
    return CloudEvent(
        id=str(uuid7()),
        source="/headgate/gateway",
        type=command.type,
        time=context.received_at,
        site=asked if command.sited and SITE.fullmatch(asked) else RESERVED_SITE,
        actor=context.who,
        correlationid=context.request_id,
        traceparent=context.traceparent,
        clientaddress=context.address[:200],
        clientagent=context.agent,
        data={name: _number(str(value)) for name, value in request.path_params.items()},
    )


def _number(text: str) -> str | int:
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    return text.encode(errors="replace").decode()[:300]
