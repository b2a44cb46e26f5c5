"""Judges merged histograms: percentiles, thresholds and the burn rate of the error budget. Pure.

Objectives: 99 % of requests without an error, 95 % faster than 450 ms. Burn rates in two windows: the SRE workbook,
chapter "Alerting on SLOs", section 6.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Health = Literal["ok", "warning", "critical", "no_data"]

MIN_SAMPLES = 8
WARNING_MS = 450
CRITICAL_MS = 900
ERROR_SLO_PERCENT = 99.0
LATENCY_SLO_PERCENT = 95.0
BURN_WARNING = 2.0
BURN_CRITICAL = 10.0
SHORT_MINUTES = 5
LONG_MINUTES = 60
LATENCY_LIMITS_MS: tuple[tuple[Health, int], ...] = (("critical", CRITICAL_MS), ("warning", WARNING_MS))
BURN_LIMITS: tuple[tuple[Health, float], ...] = (("critical", BURN_CRITICAL), ("warning", BURN_WARNING))
_WORST_FIRST: tuple[Health, ...] = ("critical", "warning", "no_data", "ok")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bucket. Bucket i holds bounds_ms[i-1] <= value < bounds_ms[i]; the last one is open above."""

    bounds_ms: tuple[float, ...]
    counts: tuple[int, ...]
    error_count: int = 0

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.bounds_ms) + 1:
            raise ValueError(f"{len(self.bounds_ms)} bounds need {len(self.bounds_ms) + 1} counts")

    @property
    def sample_count(self) -> int:
        """How many requests it holds."""
        return sum(self.counts)

    def slow_count(self, threshold_ms: float) -> int:
        """Requests that took ``threshold_ms`` or longer: exact. Raises ValueError if that is not a bound."""
        place = bisect_left(self.bounds_ms, threshold_ms)
        if place == len(self.bounds_ms) or self.bounds_ms[place] != threshold_ms:
            raise ValueError(f"{threshold_ms} ms is not a bound of the histogram")
        return sum(self.counts[place + 1 :])

    def percentile_ms(self, percent: float) -> float | None:
        """An estimate by linear interpolation inside a bucket, so it is off by at most the bucket's width.

        None without samples. In the open last bucket it is that bucket's lower bound: at least so long.
        """
        found = self._place(percent)
        if found is None:
            return None
        place, share = found
        lower = self.bounds_ms[place - 1] if place else 0.0
        return lower if place == len(self.bounds_ms) else lower + (self.bounds_ms[place] - lower) * share

    def error_ms(self, percent: float) -> float | None:
        """By how much `percentile_ms` is off at the most: the width of its bucket.

        None without samples, and in the last bucket, which is open above.
        """
        found = self._place(percent)
        if found is None or found[0] == len(self.bounds_ms):
            return None
        place = found[0]
        return self.bounds_ms[place] - (self.bounds_ms[place - 1] if place else 0.0)

    def _place(self, percent: float) -> tuple[int, float] | None:
        """The bucket that holds the percentile, and how far inside it lies, from 0 to 1."""
        wanted, before = self.sample_count * percent / 100, 0
        for place, count in enumerate(self.counts):
            if count and before + count >= wanted:
                return place, (wanted - before) / count
            before += count
        return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A status and the sentence that explains it."""

    status: Health
    message: str


def judge_latency(histogram: Histogram) -> Verdict:
    """By p95: warning from 450 ms on, critical from 900 ms on; fewer than 8 requests are no data, never ok."""
    count, p95 = histogram.sample_count, histogram.percentile_ms(95)
    if p95 is None or count < MIN_SAMPLES:
        return Verdict("no_data", f"{count} requests in the window; {MIN_SAMPLES} are needed to judge.")
    for status, limit in LATENCY_LIMITS_MS:
        if p95 >= limit:
            return Verdict(status, f"p95 is {p95:.0f} ms; the {status} limit is {limit} ms.")
    return Verdict("ok", f"p95 is {p95:.0f} ms; the warning limit is {WARNING_MS} ms.")


def burn_rate(histogram: Histogram) -> float | None:
    """How many times faster than allowed the budget is spent: the larger of errors / 1 % and slow requests / 5 %.

    1.0 spends exactly the budget. None with fewer than 8 requests.
    """
    count = histogram.sample_count
    if count < MIN_SAMPLES:
        return None
    error_percent = 100 * histogram.error_count / count
    slow_percent = 100 * histogram.slow_count(WARNING_MS) / count
    return max(error_percent / (100 - ERROR_SLO_PERCENT), slow_percent / (100 - LATENCY_SLO_PERCENT))


def judge_burn(short: float | None, long: float | None) -> Verdict:
    """Both windows must exceed a limit: the long one says that it matters, the short one that it still goes on."""
    if short is None or long is None:
        thin = " and ".join(
            f"{minutes} minutes" for minutes, rate in ((SHORT_MINUTES, short), (LONG_MINUTES, long)) if rate is None
        )
        return Verdict("no_data", f"Fewer than {MIN_SAMPLES} requests in the last {thin}.")
    both = min(short, long)
    shown = f"Burn rate {short:.1f} over {SHORT_MINUTES} minutes and {long:.1f} over {LONG_MINUTES} minutes"
    for status, limit in BURN_LIMITS:
        if both >= limit:
            return Verdict(status, f"{shown}; both are at or above {limit:.0f}.")
    return Verdict("ok", f"{shown}; not both are at or above {BURN_WARNING:.0f}.")


def worst(statuses: Sequence[Health]) -> Health:
    """critical, then warning, then no_data, then ok; nothing at all is no_data."""
    return min(statuses, key=_WORST_FIRST.index, default="no_data")
