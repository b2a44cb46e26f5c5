"""Rate limits: a sliding window of one minute per token, and a stricter one per address without a valid token.

Headers: ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

WINDOW_S = 60
# The storage sweeps all buckets often, so their number must stay small; callers beyond it share one bucket.
MAX_BUCKETS = 2_000
OVERFLOW = "overflow"


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether this request may pass, and how many more may in the window that ends in ``reset_s`` seconds."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """The two fields that tell the caller."""
        return {
            "RateLimit-Policy": f'"minute";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"minute";r={self.remaining};t={self.reset_s}',
        }


class Limiter:
    """One limit over many callers, in the memory of this process."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        # Two counters a caller. The exact moving window keeps every request, which its storage walks through again and
        # again in a thread of its own.
        self._strategy = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._last_hit: dict[str, float] = {}

    def hit(self, key: str) -> Allowance:
        """Count one request of this caller."""
        bucket = self._bucket(key)
        allowed = self._strategy.hit(self._item, bucket)
        reset_time, remaining = self._strategy.get_window_stats(self._item, bucket)
        reset_s = min(WINDOW_S, max(1, math.ceil(reset_time - time.time())))
        return Allowance(allowed, self._item.amount, max(0, int(remaining)), reset_s)

    def _bucket(self, key: str) -> str:
        now = time.time()
        if key not in self._last_hit and len(self._last_hit) >= MAX_BUCKETS:
            for idle in [name for name, hit_at in self._last_hit.items() if hit_at < now - WINDOW_S]:
                del self._last_hit[idle]
                self._strategy.clear(self._item, idle)
            if len(self._last_hit) >= MAX_BUCKETS:
                key = OVERFLOW
        self._last_hit[key] = now
        return key
