"""Keeps latency histograms for 30 days and answers how fast the HTTP API is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from libs.common.contracts.gateway.latency import BOUNDS_MS, LatencySampled, latency_sampled
from libs.common.contracts.metrics import latency as contract
from libs.common.contracts.metrics.latency import ApiLatency, BurnRate, EndpointLatency, LatencyWindow
from libs.common.schedules import Schedule
from libs.common.service import Batch, Connection, Delivered, Job, Read, Staged, Table, Tx
from libs.slo.model import WATCHING
from services.metrics import rollups
from services.metrics.domain import latency as rules
from services.metrics.domain.latency import Histogram
from services.metrics.domain.watched import Watched
from services.metrics.rollups import Told

KEPT = timedelta(days=30)
MAX_ENDPOINTS = 500
PRUNED_AT_ONCE = 100_000
NOTHING = Histogram(BOUNDS_MS, (0,) * (len(BOUNDS_MS) + 1))

COLUMNS = ("window_ended_at", "window_s", "instance", "method", "route", "counts", "error_count", "sum_ms")
# Summing each bucket by its place is several times faster than unnest with a group per bucket.
_SUMS = ", ".join(f"coalesce(sum(counts[{place}]), 0)" for place in range(1, len(BOUNDS_MS) + 2))
SELECT_ALL = f"""
SELECT ARRAY[{_SUMS}] AS counts, coalesce(sum(error_count), 0) AS error_count FROM latency_sample
WHERE window_ended_at > $1 AND window_ended_at <= $2 AND route <> ALL ($3::text[])
"""  # noqa: S608 - made of our own constant
SELECT_BY_ROUTE = f"""
SELECT method, route, ARRAY[{_SUMS}] AS counts, sum(error_count) AS error_count, max(window_ended_at) AS last_at
FROM latency_sample WHERE window_ended_at > $1 AND window_ended_at <= $2
GROUP BY method, route ORDER BY route, method LIMIT $3
"""  # noqa: S608 - made of our own constant
DELETE_OLD = """
DELETE FROM latency_sample WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM latency_sample WHERE window_ended_at < $1 ORDER BY window_ended_at LIMIT $2))
"""


async def store(connection: Connection, messages: Sequence[Delivered], now: datetime) -> Sequence[Staged]:
    """Store the histograms of many processes at once. Raises ValueError for a message that is no such sample."""
    rows, told = [], []
    for message in messages:
        if message.event.type != latency_sampled.type:
            raise ValueError(f"{message.event.type} is no telemetry that is kept here")
        sample = LatencySampled.model_validate(message.event.data)
        # A sender whose clock is ahead may not write into the future, where nothing would ever prune it.
        ended_at = min(sample.window_started_at + timedelta(seconds=sample.window_s), now)
        rows += [
            (ended_at, sample.window_s, sample.instance, one.method, one.route, one.counts, one.error_count, one.sum_ms)
            for one in sample.routes
        ]
        told += [Told(ended_at, one.method, one.route, one.counts, one.error_count) for one in sample.routes]
    await rollups.add(connection, told)
    await connection.copy_records_to_table("latency_sample", records=rows, columns=COLUMNS)
    return ()


async def prune(tx: Tx) -> None:
    """Remove samples older than 30 days, at most 100,000 a run, and sums that no window reaches any more."""
    await tx.connection.execute(DELETE_OLD, tx.now - KEPT, PRUNED_AT_ONCE)
    await rollups.prune(tx)


async def get_latency(watched: Watched, read: Read, wanted: LatencyWindow) -> ApiLatency:
    """Every route with traffic in the window, and the burn rate; the status is the worst of what is watched."""
    since = read.now - timedelta(minutes=wanted.window_minutes)
    rows = await read.pool.fetch(SELECT_BY_ROUTE, since, read.now, MAX_ENDPOINTS)
    found = {(row["method"], row["route"]): row for row in rows}
    endpoints = [_endpoint(*key, _histogram(row), row["last_at"], watched) for key, row in found.items()]
    endpoints += [_endpoint(*key, NOTHING, None, watched) for key in watched.whole if key not in found]
    burn = await _burn(read)
    return ApiLatency(
        generated_at=read.now,
        window_minutes=wanted.window_minutes,
        status=rules.worst([burn.status, *(endpoint.status for endpoint in endpoints if endpoint.watched)]),
        endpoints=endpoints,
        burn_rate=burn,
    )


def _histogram(row: asyncpg.Record) -> Histogram:
    return Histogram(BOUNDS_MS, tuple(row["counts"]), row["error_count"])


async def _all_routes(read: Read, minutes: int) -> Histogram:
    [row] = await read.pool.fetch(SELECT_ALL, read.now - timedelta(minutes=minutes), read.now, list(WATCHING))
    return _histogram(row)


def _endpoint(
    method: str, route: str, histogram: Histogram, last_at: datetime | None, watched: Watched
) -> EndpointLatency:
    verdict = rules.judge_latency(histogram)
    return EndpointLatency(
        endpoint_key=f"{method} {route}",
        method=method,
        route=route,
        sample_count=histogram.sample_count,
        error_count=histogram.error_count,
        slow_count=histogram.slow_count(rules.WARNING_MS),
        p50_ms=histogram.percentile_ms(50),
        p95_ms=histogram.percentile_ms(95),
        p99_ms=histogram.percentile_ms(99),
        p50_error_ms=histogram.error_ms(50),
        p95_error_ms=histogram.error_ms(95),
        p99_error_ms=histogram.error_ms(99),
        last_sample_at=last_at,
        watched=watched.holds(method, route),
        status=verdict.status,
        message=verdict.message,
    )


async def _burn(read: Read) -> BurnRate:
    short = await _all_routes(read, rules.SHORT_MINUTES)
    long = await _all_routes(read, rules.LONG_MINUTES)
    short_rate, long_rate = rules.burn_rate(short), rules.burn_rate(long)
    verdict = rules.judge_burn(short_rate, long_rate)
    return BurnRate(
        short_window_minutes=rules.SHORT_MINUTES,
        long_window_minutes=rules.LONG_MINUTES,
        short_sample_count=short.sample_count,
        long_sample_count=long.sample_count,
        short_burn_rate=short_rate,
        long_burn_rate=long_rate,
        error_slo_percent=rules.ERROR_SLO_PERCENT,
        latency_slo_percent=rules.LATENCY_SLO_PERCENT,
        slow_threshold_ms=rules.WARNING_MS,
        status=verdict.status,
        message=verdict.message,
    )


def table(watched: Watched) -> Table:
    """What this module answers; of these routes goes the status of the whole."""
    return Table(
        queries={contract.api_latency: partial(get_latency, watched)},
        batch=Batch(store, streams=("telemetry",)),
        jobs=(Job("prune_latency", Schedule("7 * * * *"), prune),),
    )
