"""Answers operations: what became of an alert, and whether alerting itself is well, over all sites."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from libs.common import versions
from libs.common.contracts.base import Nothing
from libs.common.contracts.notifier import CONTRACT
from libs.common.contracts.notifier import alerting as contract
from libs.common.contracts.notifier.alerting import MAX_NAMED, Alerting, Dispatch, DispatchKey, QuietTarget, SiteNoise
from libs.common.contracts.notifier.mttr_slo import MTTR_JOB
from libs.common.contracts.notifier.retention import MIN_DAYS, RETENTION_DOCUMENT, RETENTION_JOB
from libs.common.problems import Conflict
from libs.common.service import Read, Table
from services.notifier.figures import verdicts
from services.notifier.targets import names_of_targets

SITE = "global"
CONSUMER = f"{CONTRACT.service}-events"
UNPROBED, LATE = timedelta(hours=3), timedelta(minutes=10)
RETENTION_OLD, CHECK_OLD = timedelta(hours=36), timedelta(hours=6)
MAX_LATE = 1_000
MAX_SITES = 50  # of those that are looked at one by one
NOISE_BACK = timedelta(days=90)  # no window of a review is longer
DUE_AFTER = 10  # messages to people's channels of which nobody has said anything

# An attempt counts when it is being made: that one has failed, its error says.
SELECT_DISPATCH = """
SELECT EXISTS (SELECT FROM inbox WHERE consumer = $2 AND event_id = $1) AS heard,
    count(delivery_id) AS delivery_count,
    count(*) FILTER (WHERE state = 'delivered') AS delivered_count,
    count(*) FILTER (WHERE state <> 'delivered' AND (error IS NOT NULL OR state IN ('dead', 'suppressed')))
        AS failing_count,
    count(*) FILTER (WHERE state <> 'delivered' AND error IS NULL AND state NOT IN ('dead', 'suppressed'))
        AS waiting_count,
    (array_agg(coalesce(error, 'held back: its target keeps failing') ORDER BY last_attempt_at DESC NULLS LAST)
        FILTER (WHERE delivery_id IS NOT NULL AND state <> 'delivered'
            AND (error IS NOT NULL OR state = 'suppressed')))[1] AS error
FROM subscription LEFT JOIN delivery ON delivery.lane = subscription.subscription_id AND delivery.event_id = $1
WHERE subscription.site = 'global' AND delivery_id IS NOT NULL
"""
COUNT_CIRCUITS = """
SELECT count(*) FILTER (WHERE state IN ('open', 'half_open') AND site = 'global') AS quarantined_global_count,
    count(*) FILTER (WHERE state IN ('open', 'half_open') AND site <> 'global') AS quarantined_other_count,
    count(*) FILTER (WHERE state = 'closed') AS failing_count
FROM circuit
"""
SELECT_CIRCUITS = """
SELECT site, target, event_name, state IN ('open', 'half_open') AS quarantined, error FROM circuit
WHERE state <> 'releasing' ORDER BY site <> 'global', state = 'closed', failed_at DESC LIMIT $1
"""
COUNT_UNPROBED = """
SELECT count(*) FROM circuit WHERE state IN ('open', 'half_open') AND probe_at < $1 AND EXISTS (
    SELECT FROM delivery LEFT JOIN subscription USING (subscription_id)
    LEFT JOIN channel ON channel.channel_id = delivery.channel_id
    WHERE delivery.target = circuit.target AND delivery.event_name = circuit.event_name
        AND delivery.state = 'suppressed' AND coalesce(subscription.status, 'active') = 'active'
        AND coalesce(channel.status, 'active') = 'active')
"""
COUNT_LATE = """
SELECT count(*) AS count, min(due_at) AS oldest FROM (
    SELECT due_at FROM delivery LEFT JOIN subscription USING (subscription_id)
    LEFT JOIN channel ON channel.channel_id = delivery.channel_id
    WHERE due_at < $1 AND coalesce(subscription.status, 'active') = 'active'
        AND coalesce(channel.status, 'active') = 'active'
    LIMIT $2) AS late
"""
# One step for each site; what is over is the same as what retention removes.
SELECT_UNKEPT = """
WITH RECURSIVE found AS (
    (SELECT site FROM delivery WHERE state IN ('delivered', 'dead') ORDER BY site LIMIT 1)
    UNION ALL
    SELECT (SELECT site FROM delivery WHERE state IN ('delivered', 'dead') AND delivery.site > found.site
        ORDER BY site LIMIT 1)
    FROM found WHERE found.site IS NOT NULL
)
SELECT site, oldest.created_at FROM found CROSS JOIN LATERAL (
    SELECT created_at FROM delivery WHERE delivery.site = found.site AND state IN ('delivered', 'dead')
    ORDER BY created_at, delivery_id LIMIT 1) AS oldest
WHERE oldest.created_at < $1 AND NOT EXISTS (
    SELECT FROM job_run WHERE job_name = $2 AND job_run.site = found.site AND status <> 'failed' AND finished_at >= $3)
ORDER BY site <> 'global', site LIMIT $4
"""
SELECT_CHECKS = """
SELECT site, since, newest.finished_at, newest.breach FROM (
    SELECT site, min(created_at) AS since FROM (
        SELECT site, created_at FROM subscription WHERE status <> 'removed'
        UNION ALL SELECT site, created_at FROM channel WHERE status <> 'removed' AND person = '') AS target
    GROUP BY site) AS known
LEFT JOIN LATERAL (
    SELECT finished_at, (detail ->> 'breach')::boolean AS breach FROM job_run
    WHERE job_name = $1 AND job_run.site = known.site AND status <> 'failed'
    ORDER BY finished_at DESC, run_id DESC LIMIT 1) AS newest ON true
WHERE newest.breach OR (since < $2 AND (newest.finished_at IS NULL OR newest.finished_at < $2))
ORDER BY site <> 'global', site LIMIT $3
"""
SELECT_JUDGED = """
SELECT site FROM verdict WHERE alerted_at >= $1
UNION SELECT site FROM missed_alert WHERE happened_at >= $1 AND withdrawn_at IS NULL ORDER BY site LIMIT $2
"""
SELECT_TOLD = """
SELECT site FROM (
    SELECT site, day, delivered_count FROM tally WHERE target < 0 AND day >= ($1::timestamptz AT TIME ZONE 'UTC')::date
) AS told GROUP BY site HAVING sum(delivered_count) >= $2 ORDER BY site LIMIT $3
"""


async def dispatch(read: Read, key: DispatchKey) -> Dispatch:
    """What became of an event so far."""
    row = await read.pool.fetchrow(SELECT_DISPATCH, key.event_id, CONSUMER)
    assert row is not None  # noqa: S101 - an aggregate makes a row
    return Dispatch(**row)


async def alerting(read: Read, _params: Nothing) -> Alerting:
    """Whether alerting itself is well."""
    pool, now = read.pool, read.now
    counts = await pool.fetchrow(COUNT_CIRCUITS)
    circuits = await pool.fetch(SELECT_CIRCUITS, MAX_NAMED)
    names = await names_of_targets(pool, {row["target"] for row in circuits})
    late = await pool.fetchrow(COUNT_LATE, now - LATE, MAX_LATE)
    checks = await pool.fetch(SELECT_CHECKS, MTTR_JOB, now - CHECK_OLD, MAX_SITES)
    assert counts is not None and late is not None  # noqa: S101, PT018 - aggregates make a row
    return Alerting(
        **counts,
        targets=[
            QuietTarget(
                site=row["site"],
                target=row["target"],
                name=names.get(row["target"], ""),
                event_type=row["event_name"],
                quarantined=row["quarantined"],
                error=row["error"],
            )
            for row in circuits
        ],
        unprobed_count=await pool.fetchval(COUNT_UNPROBED, now - UNPROBED),
        late_count=late["count"],
        oldest_late_at=late["oldest"],
        unkept_sites=await _unkept(read),
        unchecked_sites=[row["site"] for row in checks if _is_old(row["finished_at"], now - CHECK_OLD)][:MAX_NAMED],
        breaching_sites=[row["site"] for row in checks if row["breach"]][:MAX_NAMED],
        noise=await _noise(read),
    )


def _is_old(at: Any, before: Any) -> bool:
    return at is None or at < before


async def _unkept(read: Read) -> list[str]:
    """Sites where something is over by their own policy, and retention has not run."""
    before = read.now - timedelta(days=MIN_DAYS)
    rows = await read.pool.fetch(SELECT_UNKEPT, before, RETENTION_JOB, read.now - RETENTION_OLD, MAX_SITES)
    found = []
    for row in rows:
        try:
            policy = (await versions.current(read.pool, RETENTION_DOCUMENT, row["site"])).content
        except Conflict:  # a policy that can't be read removes nothing, which is what is told here
            found.append(row["site"])
            continue
        # As old as a run would have found it 36 hours ago.
        if policy.enabled and row["created_at"] < read.now - timedelta(days=policy.retention_days) - RETENTION_OLD:
            found.append(row["site"])
    return found[:MAX_NAMED]


async def _noise(read: Read) -> list[SiteNoise]:
    """Sites where more alerts are wrong or missing than may be, and those where nobody has judged any."""
    judged = {row["site"] for row in await read.pool.fetch(SELECT_JUDGED, read.now - NOISE_BACK, MAX_SITES)}
    rows = await read.pool.fetch(SELECT_TOLD, read.now - timedelta(days=14), DUE_AFTER, MAX_SITES)
    told = {row["site"] for row in rows}
    found = []
    for site in sorted(judged | told, key=lambda one: (one != SITE, one))[:MAX_SITES]:
        try:
            seen = await verdicts.review(replace(read, site=site), Nothing())
        except Conflict as refusal:
            found.append(SiteNoise(site=site, status="critical", message=refusal.detail, due=False))
            continue
        due = seen.status == "no_data" and site in told
        if due or seen.status in ("warning", "critical"):
            found.append(SiteNoise(site=site, status=seen.status, message=seen.message, due=due))
    return found[:MAX_NAMED]


TABLE = Table(queries={contract.dispatch_of: dispatch, contract.get_alerting: alerting})
