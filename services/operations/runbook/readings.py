"""What the runbook's checks look at: read once, all at the same time and bounded, or the reason why it was not read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import asyncpg

from libs.common.contracts.audit.archives import get_archiving
from libs.common.contracts.audit.chain import VerifyRange, verify_chain
from libs.common.contracts.audit.head import get_head
from libs.common.contracts.audit.witnesses import list_witnesses
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.backlogs import list_backlogs
from libs.common.contracts.gateway.tokens import ExpiryWanted, expiring_tokens
from libs.common.contracts.jobs import jobs_query
from libs.common.contracts.metrics.latency import LatencyWindow, api_latency
from libs.common.contracts.metrics.slo import list_slos
from libs.common.contracts.notifier.alerting import get_alerting
from libs.common.contracts.vitals import vitals_query
from libs.common.problems import Refusal
from libs.common.service import Connection
from libs.common.settings import Settings
from libs.common.telemetry import log
from services.operations import archives, integrity, preflight, rehearsals
from services.operations.asked import Asks, each
from services.operations.backups import told
from services.operations.deployments import checklist, guides, reviews, telling
from services.operations.reports import streak

READ_S = 4.0  # the edge waits 5 s for the whole
VERIFIED_LINKS = 2_000
EXPIRY_HOURS = 72

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unread:
    """Why something could not be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read at ``now``, by name; `of` raises `LookupError` with the reason for what was not."""

    now: datetime
    found: Mapping[str, Any]

    def of(self, name: str) -> Any:
        """The reading of this name."""
        value = self.found[name]
        if isinstance(value, Unread):
            raise LookupError(value.reason)
        return value


class Desk:
    """Who reads: ``asker`` asks other services; of the own database one statement runs at a time."""

    def __init__(self, settings: Settings, asker: Asks, source: asyncpg.Pool | Connection, now: datetime) -> None:
        self._settings, self._asker, self._source, self._now = settings, asker, source, now
        self._own = asyncio.Lock()

    async def read(self) -> Readings:
        """All readings; raises nothing that a server or another service does."""
        sources: dict[str, Awaitable[Any]] = {
            "preflight": self._preflight(),
            "vitals": each(self._asker, vitals_query),
            "jobs": each(self._asker, jobs_query),
            "started": self._started(),
            "backlogs": self._asker.ask(list_backlogs, Nothing(), timeout_s=3.0),
            "tokens": self._asker.ask(expiring_tokens, ExpiryWanted(within_hours=EXPIRY_HOURS), timeout_s=3.0),
            "latency": self._asker.ask(api_latency, LatencyWindow(), timeout_s=3.0),
            "slos": self._asker.ask(list_slos, Nothing(), timeout_s=3.0),
            "head": self._asker.ask(get_head, Nothing(), timeout_s=3.0),
            "chain": self._chain(),
            "witnesses": self._asker.ask(list_witnesses, Nothing(), timeout_s=3.0),
            "archiving": self._asker.ask(get_archiving, Nothing(), timeout_s=3.0),
            "archive": self._archive(),
            "evidence": self._own_rows(integrity.newest),
            "deployment": self._deployment(),
            "guide": self._guide(),
            "alerting": self._asker.ask(get_alerting, Nothing(), timeout_s=3.0),
            "backups": self._own_rows(told.known),
            "rehearsal": self._own_rows(rehearsals.newest),
            "streak": self._streak(),
            "reviews": self._own_rows(partial(reviews.outstanding, now=self._now)),
        }
        values = await asyncio.gather(*(_bounded(name, source) for name, source in sources.items()))
        return Readings(self._now, dict(zip(sources, values, strict=True)))

    async def _preflight(self) -> Any:
        reports, silent = await preflight.refreshed(self._asker)
        return preflight.put_together(reports, silent, self._now, fresh=True)

    async def _started(self) -> dict[str, datetime]:
        async with self._own:
            return {name: one.checked_at for name, one in (await preflight.told(self._source)).items()}

    async def _chain(self) -> Any:
        head = await self._asker.ask(get_head, Nothing(), timeout_s=3.0)
        wanted = VerifyRange(from_seq=max(head.seq - VERIFIED_LINKS + 1, 1), limit=VERIFIED_LINKS + 1_000)
        return await self._asker.ask(verify_chain, wanted, timeout_s=3.0)

    async def _own_rows(self, of: Callable[[asyncpg.Pool | Connection], Awaitable[T]]) -> T:
        async with self._own:
            return await of(self._source)

    async def _archive(self) -> Any:
        async with self._own:
            return await archives.newest(self._source)

    async def _deployment(self) -> Any:
        """The newest that gates go by, or None, and the checklist as it is now."""
        async with self._own:
            found = await telling.newest(self._source, self._settings.deploy_environment)
            return found, await checklist.current(self._settings, self._source, self._now)

    async def _guide(self) -> Any:
        """The guide that deployments are bound to, or None, and whether its content is what its sum says."""
        async with self._own:
            found = await guides.in_force(self._source, self._settings.rollback_guide_path)
            return found, found is not None and await guides.is_whole(self._source, found)

    async def _streak(self) -> Any:
        async with self._own:
            return await streak.read(self._source, self._now)


async def _bounded(name: str, source: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(READ_S):
            return await source
    except TimeoutError:
        return Unread(f"no answer within {READ_S:g} s")
    except Refusal as refusal:
        return Unread(refusal.detail)
    except Exception as error:
        log.warning("runbook can't read", reading=name, error=repr(error))
        return Unread(str(error) or type(error).__name__)
