"""Requests that several gateways count together in a Valkey or Redis, by the library `limits`."""

from __future__ import annotations

import asyncio
import math
import time
from functools import cache
from typing import cast

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage as Storage
from limits.aio.storage.redis.valkey import ValkeyBridge
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from libs.common.telemetry import log
from services.gateway.domain.rates import WINDOW_S, Rate
from services.gateway.limits.allowance import Allowance

ANSWER_S = 0.25
AWAY_S = 5.0  # so long it is not asked again
STORE_ERRORS = (ValkeyError, OSError, TimeoutError)
SCHEMES = {"redis": "async+valkey", "rediss": "async+valkeys", "valkey": "async+valkey", "valkeys": "async+valkeys"}


class RedisStore:
    """The place where requests are counted. One script of the server decides, so no two gateways pass one place."""

    def __init__(self, url: SecretStr, namespace: str) -> None:
        scheme, colon, rest = url.get_secret_value().partition("://")
        if not colon or scheme not in SCHEMES:
            raise ValueError(
                f"HEADGATE_RATE_LIMIT_URL must begin with one of {', '.join(f'{one}://' for one in SCHEMES)}"
            )
        self._storage = Storage(
            f"{SCHEMES[scheme]}://{rest}",
            key_prefix=f"{namespace}:limit",
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
        )
        self._counter = SlidingWindowCounterRateLimiter(self._storage)
        self._away_until = 0.0

    async def hit(self, rate: Rate, per_minute: int, key: str, cost: int) -> Allowance | None:
        """Count one request; None: the store is away."""
        item = _item(rate, per_minute)
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(2 * ANSWER_S):
                allowed = await self._counter.hit(item, key, cost=cost)
                seen = await self._counter.get_window_stats(item, key)
        except STORE_ERRORS as error:
            self._away_until = time.monotonic() + AWAY_S
            log.warning("the store of rate limits is away", error=repr(error))
            return None
        reset_s = min(WINDOW_S, max(1, math.ceil(seen.reset_time - time.time())))
        return Allowance(allowed, item.amount, max(0, seen.remaining), reset_s, "redis")

    async def close(self) -> None:
        """Close its connections."""
        client = cast("Valkey", cast("ValkeyBridge", self._storage.bridge).get_connection())
        await client.aclose()


@cache
def _item(rate: Rate, per_minute: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(per_minute, namespace=rate)
