"""Requests counted in the memory of this process."""

from __future__ import annotations

import time
from dataclasses import dataclass

from services.gateway.domain.rates import WINDOW_S, reset_s, weighed
from services.gateway.limits.allowance import Allowance

# Beyond this number the one that was not hit for the longest time is forgotten: nobody can empty another's bucket.
MAX_BUCKETS = 10_000


@dataclass(slots=True)
class Bucket:
    """Requests of one caller that were let pass in the minute with this number, and in the one before it."""

    minute: int
    before: int = 0
    count: int = 0


class Limiter:
    """One limit over many callers, in the memory of this process.

    The window slides by weighing the minute before with what is left of it ("sliding window counter"): two numbers a
    caller, and no thread that sweeps them.
    """

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._buckets: dict[str, Bucket] = {}

    def hit(self, key: str, cost: int = 1) -> Allowance:
        """Count one request of this caller; it counts for ``cost``."""
        now = time.time()
        minute, elapsed_s = int(now // WINDOW_S), now % WINDOW_S
        bucket = self._bucket(key, minute)
        free = self._limit - weighed(bucket.before, elapsed_s)
        allowed = bucket.count + cost <= free
        bucket.count += cost if allowed else 0
        return Allowance(allowed, self._limit, max(0, free - bucket.count), reset_s(bucket.before, elapsed_s))

    def spent(self, key: str) -> bool:
        """Whether this caller's next request would be refused; counts nothing."""
        if key not in self._buckets:
            return False
        now = time.time()
        bucket = self._bucket(key, int(now // WINDOW_S))
        return bucket.count >= self._limit - weighed(bucket.before, now % WINDOW_S)

    def _bucket(self, key: str, minute: int) -> Bucket:
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            while len(self._buckets) >= MAX_BUCKETS:
                del self._buckets[next(iter(self._buckets))]
            bucket = Bucket(minute)
        self._buckets[key] = bucket
        if bucket.minute != minute:
            bucket.before = bucket.count if bucket.minute == minute - 1 else 0
            bucket.minute, bucket.count = minute, 0
        return bucket
