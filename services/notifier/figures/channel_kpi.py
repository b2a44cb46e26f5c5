"""How well targets take their deliveries, over 7 and 30 days: off sums of days, and what is open now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from libs.common.contracts.base import Nothing
from libs.common.contracts.notifier import alerts as contract
from libs.common.contracts.notifier.alerts import (
    WINDOWS_DAYS,
    ChannelFigures,
    ChannelKpi,
    ChannelWindow,
    DeliveryDays,
    DeliverySums,
    TargetFigures,
)
from libs.common.service import Read, Table
from services.notifier.domain.rates import SUMS, figures
from services.notifier.guarding.recovery import TALLIES_KEPT
from services.notifier.targets import names_of_targets

SUM_TALLIES = """
SELECT days, target, sum(attempt_count)::bigint AS attempt_count, sum(failed_attempt_count)::bigint AS
    failed_attempt_count, sum(delivered_count)::bigint AS delivered_count, sum(dead_count)::bigint AS failed_count,
    sum(answered_count)::bigint AS answered_count, sum(took_ms) AS took_ms
FROM unnest($2::integer[], $3::date[]) AS span (days, since) JOIN tally ON tally.site = $1 AND day >= since
GROUP BY days, target
"""
# Off the index of what is due in the lanes of the site, and of what is held back.
COUNT_OPEN = """
WITH span AS (SELECT * FROM unnest($2::integer[], $3::timestamptz[]) AS span (days, since)),
waiting AS (
    SELECT target, state, delivery.created_at FROM (
        SELECT subscription_id AS lane FROM subscription WHERE site = $1
        UNION ALL SELECT -channel_id FROM channel WHERE site IN ($1, '*')
    ) AS way JOIN delivery USING (lane)
    WHERE delivery.site = $1 AND due_at IS NOT NULL AND state = 'retrying'
    UNION ALL
    SELECT circuit.target, held.state, held.created_at FROM circuit CROSS JOIN LATERAL (
        SELECT delivery.state, delivery.created_at FROM delivery
        WHERE delivery.target = circuit.target AND delivery.event_name = circuit.event_name
            AND delivery.state = 'suppressed'
    ) AS held
    WHERE circuit.site = $1
)
SELECT days, target, count(*) FILTER (WHERE state = 'retrying') AS retrying_count,
    count(*) FILTER (WHERE state = 'suppressed') AS suppressed_count
FROM span JOIN waiting ON created_at >= since GROUP BY days, target
"""

SUM_DAYS = """
SELECT coalesce(sum(delivered_count), 0)::bigint AS delivered_count,
    coalesce(sum(dead_count), 0)::bigint AS failed_count
FROM tally WHERE day >= $1 AND day <= $2
"""


async def sum_deliveries(read: Read, wanted: DeliveryDays) -> DeliverySums:
    """How the deliveries of all sites ended on some days."""
    row = await read.pool.fetchrow(SUM_DAYS, wanted.first_day, wanted.last_day)
    assert row is not None  # noqa: S101 - sums always make a row
    return DeliverySums(kept_since=(read.now - TALLIES_KEPT).date(), **dict(row))


async def channel_kpi(read: Read, _: Nothing) -> ChannelKpi:
    """The figures of the site's targets, and of all of them together."""
    today = read.now.astimezone(UTC).date()
    days = list(WINDOWS_DAYS)
    since = [datetime.combine(today - timedelta(days=one - 1), time(), UTC) for one in days]
    found: dict[int, dict[int, dict[str, Any]]] = {one: {} for one in days}
    for sql, starts in ((SUM_TALLIES, [one.date() for one in since]), (COUNT_OPEN, since)):
        for row in await read.pool.fetch(sql, read.site, days, starts):
            sums = found[row["days"]].setdefault(row["target"], dict.fromkeys(SUMS, 0))
            sums.update({name: value for name, value in row.items() if name in SUMS})
    names = await names_of_targets(read.pool, {target for one in found.values() for target in one})
    return ChannelKpi(
        generated_at=read.now,
        windows=[_window(one, start, found[one], names) for one, start in zip(days, since, strict=True)],
    )


def _window(
    days: int, since: datetime, found: Mapping[int, Mapping[str, Any]], names: Mapping[int, str]
) -> ChannelWindow:
    every = {name: sum(one[name] for one in found.values()) for name in SUMS}
    channels = [
        TargetFigures(target=target, name=names.get(target, ""), **_shown(sums))
        for target, sums in sorted(found.items())
    ]
    return ChannelWindow(days=days, since=since, channels=channels, **_shown(every))


def _shown(sums: Mapping[str, Any]) -> dict[str, Any]:
    return ChannelFigures(**figures(sums)).model_dump()


TABLE = Table(queries={contract.channel_kpi: channel_kpi, contract.sum_deliveries: sum_deliveries})
