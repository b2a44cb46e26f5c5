"""Reading the SLOs of a month of traffic on 60 routes, beside the one statement that they are read with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Figure, Report, percentile
from bench.items import question
from bench.lab import BenchError, Lab, Space
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.common.contracts.metrics.slo import list_slos
from libs.slo.burn import WINDOWS
from services.metrics.rollups import SELECT_SUMS, sums_since

ROUTES, DAYS, ROUNDS, TIMES = 60, 30, 5, 20
AIM = 2.0
# As a busy month leaves them: each route has requests in each minute, and their sums in each hour.
FILL = f"""
INSERT INTO metrics.{{table}} ({{step}}, method, route, counts, error_count)
SELECT moment, 'GET', '/api/route/' || route, array_fill(3::bigint, ARRAY[{len(BOUNDS_MS) + 1}]), route % 3
FROM generate_series(date_trunc('hour', now()) - $1::interval, now(), '1 {{step}}') AS moment,
    generate_series(1, $2::integer) AS route
"""


class Noting:
    """A source that notes with which values it was asked."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.values: Sequence[Any] = ()

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        """The rows, after noting the values. Raises `BenchError` if it is another statement than is measured."""
        if statement != SELECT_SUMS:
            raise BenchError("the SLOs are read by another statement now")
        self.values = values
        found: list[Any] = await self._space.database.fetch(statement, *values)
        return found


async def run(lab: Lab, report: Report) -> None:
    """Fill 30 days, then ask the service and the database in turns."""
    async with lab.space() as space:
        await space.database.execute(FILL.format(table="latency_minute", step="minute"), timedelta(days=3), ROUTES)
        await space.database.execute(FILL.format(table="latency_hour", step="hour"), timedelta(days=DAYS), ROUTES)
        await space.database.execute("VACUUM ANALYZE")
        await space.database.execute("SET search_path TO metrics")
        space.service("metrics")
        await space.subscribed(space.topology.events_stream, "metrics-events")
        asked, floors = [], []
        ask = question(space, list_slos, Nothing())
        for number in range(ROUNDS + 1):  # the first one warms up
            waits, raw = await ask(TIMES), await _floor(space)
            if number:
                asked.append(percentile(waits, 0.5))
                floors.append(percentile(raw, 0.5))
    name, beside = f"all SLOs over {DAYS} days, {ROUTES} routes, p50", "their one statement alone"
    report.figures.append(Figure("slo", name, "ms", tuple(asked), beside, tuple(floors), AIM, lower_is_better=True))


async def _floor(space: Space) -> list[float]:
    source, now = Noting(space), datetime.now(UTC)
    moments = [*(now - timedelta(minutes=minutes) for minutes in WINDOWS), now - timedelta(days=DAYS)]
    await sums_since(source, moments, now)
    took = []
    for _ in range(TIMES):
        started = time.perf_counter()
        await space.database.fetch(SELECT_SUMS, *source.values)
        took.append((time.perf_counter() - started) * 1000)
    return took
