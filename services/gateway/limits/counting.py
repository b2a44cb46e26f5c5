"""Every limit of the edge: who is counted in which class, where, and what holds while that place is away."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property

from libs.common.bus import Bus
from libs.common.problems import Unavailable
from libs.common.runtime import StartError
from libs.common.settings import Settings
from services.gateway.domain import rates
from services.gateway.domain.rates import Rate
from services.gateway.limits.allowance import Allowance, Store
from services.gateway.limits.memory import Limiter
from services.gateway.limits.nats_store import NatsStore
from services.gateway.limits.redis_store import STORE_ERRORS, RedisStore

FULL_S = 1.0
MAX_FULL = 10_000


class Limits:
    """The limits of all classes, counted in the store where there is one, else in this process.

    While the store is away each gateway counts by itself, or, if ``refuses``, lets nobody pass.
    """

    def __init__(self, per_minute: Mapping[Rate, int], store: Store | None = None, *, refuses: bool = False) -> None:
        self._per_minute = dict(per_minute)
        self._store = store
        self._refuses = refuses
        self._full: dict[tuple[Rate, str], tuple[Allowance, float]] = {}

    @cached_property
    def _own(self) -> dict[Rate, Limiter]:
        return {rate: Limiter(count) for rate, count in self._per_minute.items()}

    async def hit(self, rate: Rate, key: str, cost: int = 1) -> Allowance:
        """Count a request of this caller that counts for ``cost``. Raises `Unavailable`."""
        found = await self._counted(rate, key, cost)
        if not found.allowed:
            self._full.pop((rate, key), None)
            while len(self._full) >= MAX_FULL:
                del self._full[next(iter(self._full))]
            self._full[rate, key] = found, time.monotonic() + FULL_S
        return found

    def full(self, rate: Rate, key: str) -> Allowance | None:
        """What this caller was told when it was refused a moment ago; None: it was not. Counts nothing, asks nobody."""
        found, until = self._full.get((rate, key), (None, 0.0))
        return found if until > time.monotonic() else None

    async def _counted(self, rate: Rate, key: str, cost: int) -> Allowance:
        if self._store is not None:
            found = await self._store.hit(rate, self._per_minute[rate], key, cost)
            if found is not None:
                return found
            if self._refuses:
                raise Unavailable(
                    "Requests can't be counted now, and this installation lets none pass uncounted; try again.",
                    retry_after_s=5,
                )
        return self._own[rate].hit(key, cost)

    async def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            await self._store.close()


def limits_of(settings: Settings, bus: Bus) -> Limits:
    """What the settings say. Raises `StartError`."""
    tokens, strangers = settings.requests_per_minute, settings.anonymous_requests_per_minute
    per_minute = rates.limits(tokens, strangers, settings.rate_classes)
    refuses = settings.rate_limit_away == "refuse"
    return Limits(per_minute, _store_of(settings, bus), refuses=refuses)


def _store_of(settings: Settings, bus: Bus) -> Store | None:
    if settings.rate_limit_place == "memory":
        return None
    if settings.rate_limit_place == "nats":
        return NatsStore(bus)
    if settings.rate_limit_url is None:
        raise StartError("HEADGATE_RATE_LIMIT_STORE is redis, so HEADGATE_RATE_LIMIT_URL must name one")
    try:
        return RedisStore(settings.rate_limit_url, settings.namespace)
    except (ValueError, *STORE_ERRORS) as error:
        raise StartError(str(error)) from None
