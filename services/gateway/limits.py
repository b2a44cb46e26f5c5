"""Rate limits: a moving window of one minute per token, and a stricter one per address without a valid token.

Headers: ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_S = 60
MAX_BUCKETS = 2_000  # callers beyond it share one bucket
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


@dataclass(slots=True)
class _Bucket:
    """A caller's window: a count for each second in which it asked, the oldest first; at most `WINDOW_S` of them."""

    seconds: deque[list[int]] = field(default_factory=deque)
    total: int = 0

    def forget(self, second: int) -> None:
        """Drop what has left the window."""
        while self.seconds and self.seconds[0][0] <= second - WINDOW_S:
            self.total -= self.seconds.popleft()[1]


class Limiter:
    """One limit over many callers, in the memory of this process. Exact to the second, at a constant cost a request.

    Refused requests do not count, so a caller that goes on asking gets in again as soon as its window has room.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._limit = per_minute
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def hit(self, key: str) -> Allowance:
        """Count one request of this caller."""
        second = int(self._clock())
        bucket = self._bucket(key, second)
        bucket.forget(second)
        allowed = bucket.total < self._limit
        if allowed:
            if bucket.seconds and bucket.seconds[-1][0] >= second:  # also when the clock was set back
                bucket.seconds[-1][1] += 1
            else:
                bucket.seconds.append([second, 1])
            bucket.total += 1
        reset_s = bucket.seconds[0][0] + WINDOW_S - second
        return Allowance(allowed, self._limit, self._limit - bucket.total, min(WINDOW_S, max(1, reset_s)))

    def _bucket(self, key: str, second: int) -> _Bucket:
        found = self._buckets.get(key)
        if found is not None:
            return found
        if len(self._buckets) >= MAX_BUCKETS:
            for name, bucket in list(self._buckets.items()):
                bucket.forget(second)
                if not bucket.total:
                    del self._buckets[name]
            if len(self._buckets) >= MAX_BUCKETS:
                key = OVERFLOW
        return self._buckets.setdefault(key, _Bucket())
