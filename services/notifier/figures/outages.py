"""Outages of targets, kept by what becomes of attempts; and the mean time to recovery over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Nothing, Page
from libs.common.contracts.notifier import outages as contract
from libs.common.contracts.notifier.outages import (
    MAX_TARGETS,
    MttrKpi,
    MttrWindow,
    OutageFilter,
    OutageView,
    TargetMttr,
)
from libs.common.listing import Listing, Source, newest
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.notifier.claims import Result
from services.notifier.domain.outages import Figures, Span, changes, mark, time_of

WINDOWS_DAYS = (7, 30)
KEPT = timedelta(days=180)  # outages that are over: twice the longest window that anybody may ask for
PRUNED_AT_ONCE = 50_000
MARKS = 64  # of each target are kept: more than replicas hold of one, so that they may write down in any order

# Adds to what is known of each target, and holds it until the transaction ends: so replicas go one after another. In
# the order of targets, so that they never wait in a circle. Only those are answered that have failed lately.
NOTE = f"""
WITH fresh AS (
    SELECT target, min(site) AS site, array_agg(DISTINCT mark ORDER BY mark) AS marks
    FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS told (target, site, mark) GROUP BY target
),
noted AS (
    INSERT INTO target_health AS known (target, site, marks) SELECT target, site, marks FROM fresh ORDER BY target
    ON CONFLICT (target) DO UPDATE SET
        forgotten = coalesce(known.marks[cardinality(known.marks) - {MARKS}], known.forgotten),
        marks = ARRAY(
            SELECT mark FROM unnest(known.marks || excluded.marks) AS mark
            WHERE mark > coalesce(known.marks[cardinality(known.marks) - {MARKS}], known.forgotten)
            GROUP BY mark ORDER BY mark
        )
    RETURNING target, site, marks
)
SELECT target, site, marks FROM noted WHERE EXISTS (SELECT FROM unnest(marks) AS mark WHERE mark % 2 = 0)
"""  # noqa: S608 - a number of our own
# By a statement of its own, which sees what a replica that held the target has committed.
SELECT_KNOWN = """
SELECT outage_id, outage.target, began_at, ended_at
FROM unnest($1::bigint[], $2::timestamptz[]) AS told (target, first_at) JOIN outage USING (target)
WHERE ended_at IS NULL OR ended_at >= first_at
"""
DELETE_OUTAGES = "DELETE FROM outage WHERE outage_id = ANY ($1::bigint[])"
KEEP_OUTAGES = """
INSERT INTO outage (target, site, began_at, ended_at)
SELECT target, site, began_at, ended_at
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS kept (target, site, began_at, ended_at)
ORDER BY target, began_at
ON CONFLICT (target, began_at) DO UPDATE SET ended_at = excluded.ended_at
"""
# What lasts of a subscription or channel that was removed is over with it, and has not recovered.
SUM_OUTAGES = """
SELECT days, target, count(*) AS incident_count, count(ended_at) AS recovered_incidents,
    coalesce(sum(extract(epoch FROM
        ended_at - greatest(began_at, $3::timestamptz - days * interval '1 day'))), 0)::float8 AS lasted_s,
    min(began_at) FILTER (WHERE ended_at IS NULL AND known.status <> 'removed') AS open_since, min(known.name) AS name
FROM unnest($2::integer[]) AS days, outage LEFT JOIN subscription ON subscription_id = target
LEFT JOIN channel ON channel.channel_id = -target CROSS JOIN LATERAL (
    SELECT coalesce(subscription.name, channel.name), coalesce(subscription.status, channel.status),
        coalesce(subscription.changed_at, channel.changed_at)
) AS known (name, status, changed_at)
WHERE outage.site = $1 AND coalesce(ended_at, 'infinity') > $3::timestamptz - days * interval '1 day'
    AND (ended_at IS NOT NULL OR known.status <> 'removed'
        OR known.changed_at > $3::timestamptz - days * interval '1 day')
GROUP BY days, target
"""
PRUNE_OUTAGES = """
DELETE FROM outage WHERE outage_id = ANY (ARRAY(
    SELECT outage_id FROM outage WHERE ended_at < $1 ORDER BY ended_at LIMIT $2))
"""
LIST_OUTAGES = Listing(
    table="outage",
    columns=listed(names_of(OutageView)),
    scope={"site": "text"},
    filters={"target": "bigint"},
    readings=(("target",),),
    order=newest("outage_id"),
)


async def note(connection: Connection, results: Sequence[Result]) -> None:
    """Begin and end outages by what became of attempts, in the transaction that writes these down.

    The outages of a target follow from its attempts alone: in which order they are told, how often, and by how many
    replicas makes no difference.
    """
    told = [(one.target, one.site, mark(one.known_at, well=one.well)) for one in results if one.well is not None]
    if not told:
        return
    rows = await connection.fetch(NOTE, *map(list, zip(*told, strict=True)))
    if not rows:
        return
    known: dict[int, dict[int, Span]] = {row["target"]: {} for row in rows}
    firsts = [time_of(row["marks"][0]) for row in rows]
    for one in await connection.fetch(SELECT_KNOWN, list(known), firsts):
        known[one["target"]][one["outage_id"]] = Span(one["began_at"], one["ended_at"])
    gone: list[int] = []
    kept: list[tuple[int, str, datetime, datetime | None]] = []
    for row in rows:
        found = changes(row["marks"], known[row["target"]])
        gone += found.gone
        kept += [(row["target"], row["site"], one.began_at, one.ended_at) for one in found.kept]
    if gone:
        await connection.execute(DELETE_OUTAGES, gone)
    if kept:
        await connection.execute(KEEP_OUTAGES, *map(list, zip(*kept, strict=True)))


async def windows(source: Source, site: str, now: datetime, days: Sequence[int]) -> list[MttrWindow]:
    """The figures of windows of so many days that end now."""
    found: dict[int, list[tuple[Figures, TargetMttr]]] = {one: [] for one in days}
    for row in await source.fetch(SUM_OUTAGES, site, list(days), now):
        sums = Figures(row["incident_count"], row["recovered_incidents"], row["lasted_s"])
        target = TargetMttr(**_shown(sums), target=row["target"], name=row["name"], open_since=row["open_since"])
        found[row["days"]].append((sums, target))
    return [_window(one, found[one]) for one in days]


def _window(days: int, found: list[tuple[Figures, TargetMttr]]) -> MttrWindow:
    every = Figures()
    for sums, _ in found:
        every.add(sums)
    shown = sorted((target for _, target in found), key=_worst_first)
    return MttrWindow(**_shown(every), days=days, targets=shown[:MAX_TARGETS])


def _worst_first(one: TargetMttr) -> tuple[bool, float, float, int]:
    since = one.open_since.timestamp() if one.open_since else 0.0
    return one.open_since is None, since, -(one.mttr_minutes or 0.0), one.target


def _shown(sums: Figures) -> dict[str, Any]:
    return {
        "incident_count": sums.incident_count,
        "recovered_incidents": sums.recovered_incidents,
        "unresolved_incidents": sums.unresolved_incidents,
        "mttr_minutes": sums.mttr_minutes,
    }


async def get_mttr(read: Read, _params: Nothing) -> MttrKpi:
    """The mean time to recovery over 7 and 30 days."""
    return MttrKpi(generated_at=read.now, windows=await windows(read.pool, read.site, read.now, WINDOWS_DAYS))


async def list_outages(read: Read, wanted: OutageFilter) -> Page[OutageView]:
    """A page of the site's outages, newest first. Raises `Invalid`."""
    given = {"site": read.site, "target": wanted.target}
    found = await LIST_OUTAGES.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[OutageView](items=[OutageView(**row) for row in found.rows], next_cursor=found.next_cursor)


async def prune(tx: Tx) -> JobDone | None:
    """Forget outages that have been over for half a year; at most 50,000 at a time."""
    gone = int((await tx.connection.execute(PRUNE_OUTAGES, tx.now - KEPT, PRUNED_AT_ONCE)).rpartition(" ")[2])
    return JobDone(detail={"outage_count": gone}) if gone else None


TABLE = Table(
    queries={contract.get_mttr: get_mttr, contract.list_outages: list_outages},
    jobs=(Job("prune_outages", Schedule("13 4 * * *"), prune),),
)
