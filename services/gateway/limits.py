"""Rate limits: a sliding window of one minute per token, and a stricter one per address without a valid token.

Headers: ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

WINDOW_S = 60
# Beyond this number callers share one bucket.
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


@dataclass(slots=True)
class Bucket:
    """Requests of one caller that were let pass in the minute with this number, and in the one before it."""

    minute: int
    hit_at: float
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

    def hit(self, key: str) -> Allowance:
        """Count one request of this caller."""
        now = time.time()
        minute, elapsed_s = int(now // WINDOW_S), now % WINDOW_S
        bucket = self._bucket(key, now, minute)
        if bucket.minute != minute:
            bucket.before = bucket.count if bucket.minute == minute - 1 else 0
            bucket.minute, bucket.count = minute, 0
        bucket.hit_at = now
        weight = (WINDOW_S - elapsed_s) / WINDOW_S
        allowed = math.floor(bucket.before * weight) + bucket.count < self._limit
        bucket.count += allowed
        remaining = max(0, self._limit - math.floor(bucket.before * weight) - bucket.count)
        return Allowance(allowed, self._limit, remaining, _reset_s(bucket, elapsed_s))

    def _bucket(self, key: str, now: float, minute: int) -> Bucket:
        if (found := self._buckets.get(key)) is not None:
            return found
        if len(self._buckets) >= MAX_BUCKETS:
            self._buckets = {name: one for name, one in self._buckets.items() if one.hit_at >= now - WINDOW_S}
            if len(self._buckets) >= MAX_BUCKETS:
                key = OVERFLOW
        return self._buckets.setdefault(key, Bucket(minute, now))


def _reset_s(bucket: Bucket, elapsed_s: float) -> int:
    """Whole seconds until another request may pass: when a request of the minute before leaves, or the minute ends."""
    left_s = WINDOW_S - elapsed_s
    leaves_s = left_s % (WINDOW_S / bucket.before) if bucket.before else left_s
    return min(WINDOW_S, max(1, math.ceil(min(leaves_s, left_s))))
