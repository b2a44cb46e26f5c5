"""Is it up (`/healthz`), can it work (`/readyz`), does everything work (`/api/status`).

The answers are kept for a moment, so that strangers who ask often cost no more than one who asks once.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import orjson

from libs.common.bus import NATS_ERRORS
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS, SERVICES, heard
from libs.common.contracts.base import Query
from libs.common.health import read_sync, readiness
from libs.common.ids import uuid7
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Refusal
from libs.common.running import Running
from services.gateway.backlogs import oldest_event
from services.gateway.commands import SOURCE
from services.gateway.identity.bootstrap import SELECT_ANY_USER

KEPT_S = 1.0
SYNC_KEPT_S = 60.0
PING_TIMEOUT_S = 2.0
FULL_PERCENT = 80
LATE = timedelta(days=7)
NOBODY = "00000000-0000-0000-0000-000000000000"


class Health:
    """Checks with a memory of one second (a minute for what hardly changes)."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._lock = asyncio.Lock()
        self._checked_at = 0.0
        self._report: dict[str, Any] = {}
        self._sync = "unknown"
        self._sync_at = 0.0
        self._late: list[str] = []
        self._late_at = -SYNC_KEPT_S

    async def report(self) -> dict[str, Any]:
        """``ready``: NATS, Postgres and identity work. ``all_up``: every service answers too."""
        async with self._lock:
            if time.monotonic() - self._checked_at >= KEPT_S:
                self._report = await self._check()
                self._checked_at = time.monotonic()
            return self._report

    async def _check(self) -> dict[str, Any]:
        (ready, checks), identity, warnings, *states = await asyncio.gather(
            readiness(self._running),
            self._identity(),
            self._warnings(),
            *(self._ping(service) for service in SERVICES),
        )
        checks["identity"] = identity
        services = dict(zip(SERVICES, states, strict=True))
        return {
            "ready": ready and identity == "ok",
            "all_up": ready and identity == "ok" and all(state == "up" for state in states),
            "checks": checks,
            "services": services,
            "sync": self._sync,
            "warnings": warnings,
        }

    async def _identity(self) -> str:
        try:
            return "ok" if await self._running.pool.fetchval(SELECT_ANY_USER, timeout=2) else "no user yet"
        except UNREACHABLE as error:
            return f"not reached: {type(error).__name__}"

    async def _ping(self, service: str) -> str:
        """Asks for an outcome that can't exist: a 404 takes the whole way through the service to its tables."""
        query = CONTRACTS[service].by_name[f"{service}.outcomes.get"]
        assert isinstance(query, Query)  # noqa: S101  every contract declares it
        envelope = CloudEvent(id=str(uuid7()), source=SOURCE, type=query.type, actor="service:gateway")
        data = orjson.dumps({"params": {"command_id": NOBODY}, "sites": [], "permissions": []})
        try:
            reply = await self._running.bus.ask(query, envelope, data, timeout_s=PING_TIMEOUT_S)
        except Refusal:
            return "down"
        return "up" if reply.status == 404 else "down"

    async def _warnings(self) -> list[str]:
        found = []
        topology = self._running.bus.topology
        try:
            info = await asyncio.wait_for(self._running.bus.js.stream_info(topology.events_stream), 2)
            limit, held = info.config.max_bytes or 0, info.state.bytes
            if limit > 0 and held * 100 >= limit * FULL_PERCENT:
                found.append(f"the stream {topology.events_stream} is {held * 100 // limit} % full")
        except NATS_ERRORS:
            found.append("the state of the event stream is unknown")
        if time.monotonic() - self._late_at >= SYNC_KEPT_S:
            self._late, self._late_at = await self._read_late(), time.monotonic()
        found += self._late
        await self._read_sync()
        if self._sync not in ("always", "unknown"):
            found.append(f"NATS writes to disk every {self._sync}, not always: a power cut loses acknowledged messages")
        return found

    async def _read_late(self) -> list[str]:
        """Durables whose oldest event is so old that the stream may drop it before it is applied."""
        found = []
        for service in (name for name in SERVICES if heard(name)):
            try:
                oldest = await oldest_event(self._running.bus, service)
            except NATS_ERRORS:
                continue  # not reached: readiness says so by itself
            if oldest and oldest.time and self._running.clock() - oldest.time > LATE:
                found.append(f"{service}-events has not applied events for {LATE.days} days; after 30 they are dropped")
        return found

    async def _read_sync(self) -> None:
        url = self._running.settings.nats_monitor_url
        if url is None or (self._sync_at and time.monotonic() - self._sync_at < SYNC_KEPT_S):
            return
        self._sync = await read_sync(url)
        self._sync_at = time.monotonic()
