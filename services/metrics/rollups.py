"""Sums of latency samples by the minute and by the hour, written with the samples: what windows of days are read from.

How much is read depends on the routes and on the windows, not on how many samples or SLOs there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.common.listing import Source
from libs.common.service import Connection, Tx
from libs.slo.periods import MAX_DAYS

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MINUTES_KEPT = timedelta(days=3, hours=3)  # the longest window of a burn rate, and the hours at its edges
HOURS_KEPT = timedelta(days=MAX_DAYS, hours=3)
PRUNED_AT_ONCE = 100_000

_PLACES = range(1, len(BOUNDS_MS) + 2)
_SUMS = ", ".join(f"sum(counts[{place}])" for place in _PLACES)
_ADDED = ", ".join(f"held.counts[{place}] + excluded.counts[{place}]" for place in _PLACES)
# Sorted by the caller, so that two processes that add to the same rows never wait for each other in a circle.
ADD_MINUTES = f"""
INSERT INTO latency_minute AS held (minute, method, route, counts, error_count)
SELECT minute, method, route, counts::bigint[], error_count
FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    AS told (minute, method, route, counts, error_count)
ON CONFLICT (minute, method, route) DO UPDATE
SET counts = ARRAY[{_ADDED}], error_count = held.error_count + excluded.error_count
"""  # noqa: S608 - made of our own constants
ADD_HOURS = ADD_MINUTES.replace("latency_minute", "latency_hour").replace("minute", "hour")
SELECT_SUMS = f"""
SELECT place, method, route, ARRAY[{_SUMS}]::bigint[] AS counts, sum(error_count)::bigint AS error_count
FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) AS spans (place, since, until)
JOIN latency_minute ON minute >= since AND minute < until GROUP BY place, method, route
UNION ALL
SELECT place, method, route, ARRAY[{_SUMS}]::bigint[], sum(error_count)::bigint
FROM unnest($4::integer[], $5::timestamptz[], $6::timestamptz[]) AS spans (place, since, until)
JOIN latency_hour ON hour >= since AND hour < until GROUP BY place, method, route
"""  # noqa: S608 - made of our own constants
DELETE_MINUTES = """
DELETE FROM latency_minute WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM latency_minute WHERE minute < $1 ORDER BY minute LIMIT $2))
"""
DELETE_HOURS = """
DELETE FROM latency_hour WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM latency_hour WHERE hour < $1 ORDER BY hour LIMIT $2))
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What one process answered on one route in a window that ended at ``ended_at``."""

    ended_at: datetime
    method: str
    route: str
    counts: Sequence[int]
    error_count: int


@dataclass(frozen=True, slots=True)
class RouteSum:
    """The requests of a route: counts per bucket, and how many were answered by 500 or above."""

    method: str
    route: str
    counts: tuple[int, ...]
    error_count: int


def floor(moment: datetime, step: timedelta) -> datetime:
    """The begin of the minute or hour, in UTC."""
    moment = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return moment if step == MINUTE else moment.replace(minute=0)


async def add(connection: Connection, told: Iterable[Told]) -> None:
    """Add samples to the sums, in the transaction that stores them."""
    rows = list(told)
    for statement, step in ((ADD_MINUTES, MINUTE), (ADD_HOURS, HOUR)):
        sums: dict[tuple[datetime, str, str], list[int]] = defaultdict(lambda: [0] * (len(_PLACES) + 1))
        for one in rows:
            # What ends with a minute lies in it: a window (now - 5 min, now] holds whole minutes then.
            held = sums[floor(one.ended_at - timedelta(microseconds=1), step), one.method, one.route]
            for place, count in enumerate((*one.counts, one.error_count)):
                held[place] += count
        if sums:
            keys = sorted(sums)
            columns = list(zip(*keys, strict=True))
            counts = ["{" + ",".join(map(str, sums[key][:-1])) + "}" for key in keys]
            await connection.execute(statement, *map(list, columns), counts, [sums[key][-1] for key in keys])


async def sums_since(source: Source, moments: Sequence[datetime], now: datetime) -> dict[datetime, list[RouteSum]]:
    """The sums of each route from each of the moments until ``now``.

    A moment is brought forward to the begin of its minute; one of more than 3 days ago to the begin of its hour.
    """
    begins = {moment: _begin(moment, now) for moment in moments}
    cuts = sorted({*begins.values(), now})
    spans: dict[timedelta, list[tuple[int, datetime, datetime]]] = {MINUTE: [], HOUR: []}
    for place, (since, until) in enumerate(pairwise(cuts)):
        for step, begin, end in _pieces(since, until):
            spans[step].append((place, begin, end))
    values = [[span[number] for span in spans[step]] for step in (MINUTE, HOUR) for number in range(3)]
    found = await source.fetch(SELECT_SUMS, *values)
    routes: dict[datetime, dict[tuple[str, str], list[int]]] = {begin: {} for begin in begins.values()}
    for row in found:
        for begin, held in routes.items():
            if cuts[row["place"]] >= begin:
                sums = held.setdefault((row["method"], row["route"]), [0] * (len(_PLACES) + 1))
                for number, count in enumerate((*row["counts"], row["error_count"])):
                    sums[number] += count
    return {moment: _route_sums(routes[begin]) for moment, begin in begins.items()}


def _begin(moment: datetime, now: datetime) -> datetime:
    return floor(moment, HOUR if now - moment > MINUTES_KEPT - 2 * HOUR else MINUTE)


def _pieces(since: datetime, until: datetime) -> Iterable[tuple[timedelta, datetime, datetime]]:
    """The span as whole hours, and minutes before and after them."""
    first = floor(since + HOUR - timedelta(microseconds=1), HOUR)
    last = floor(until, HOUR)
    if first >= last:
        yield MINUTE, since, until
        return
    if since < first:
        yield MINUTE, since, first
    yield HOUR, first, last
    if last < until:
        yield MINUTE, last, until


def _route_sums(held: Mapping[tuple[str, str], list[int]]) -> list[RouteSum]:
    return [RouteSum(method, route, tuple(sums[:-1]), sums[-1]) for (method, route), sums in held.items()]


async def prune(tx: Tx) -> None:
    """Remove sums that no window reaches any more, at most 100,000 of each kind a run."""
    await tx.connection.execute(DELETE_MINUTES, tx.now - MINUTES_KEPT, PRUNED_AT_ONCE)
    await tx.connection.execute(DELETE_HOURS, tx.now - HOURS_KEPT, PRUNED_AT_ONCE)
