"""Reports: the autopilot's history, its summary, and what looks wrong, all from the same short rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts.tracker import autopilot_reports as contract
from libs.common.contracts.tracker.autopilot import JOB, Action
from libs.common.contracts.tracker.autopilot_reports import (
    ActionCounts,
    Anomalies,
    Anomaly,
    AnomalyMetrics,
    AnomalyWindow,
    History,
    HistoryFilter,
    PastRun,
    ShadowShare,
    StatusCounts,
    Summary,
    SummaryWindow,
)
from libs.common.contracts.tracker.escalation import JOB as ESCALATION_JOB
from libs.common.listing import Source
from libs.common.service import Read, Table
from services.tracker.domain import autopilot as domain
from services.tracker.domain import autopilot_reports as judged
from services.tracker.domain.hands import SYSTEM

MAX_RUNS = 10_000  # of a window: one every 13 minutes for 90 days

# A run that failed as a whole has left nothing but its record; what is missing reads as the model's default.
_RUNS = f"""
SELECT {listed(names_of(PastRun))} FROM job_run LEFT JOIN autopilot_run USING (run_id, site)
WHERE job_run.job_name = '{JOB}' AND site = $1
"""  # noqa: S608 - names of our own
_NEWEST = "ORDER BY job_run.finished_at DESC, run_id DESC"
SELECT_NEWEST = f"{_RUNS} {_NEWEST} LIMIT $2"
SELECT_WINDOW = f"{_RUNS} AND job_run.finished_at > $2 {_NEWEST} LIMIT $3"
# What became of each suggestion: the first who got the item after it in the same episode; or its escalation.
SELECT_SHADOWS = """
SELECT shadow.action, CASE
    WHEN shadow.action = 'auto_assign' AND got.assignee IS NOT NULL THEN
        CASE WHEN got.actor = $3 THEN 'by_run' WHEN got.assignee = shadow.assignee THEN 'same' ELSE 'other' END
    WHEN shadow.action = 'escalation' AND escalation.started_at >= shadow.planned_at THEN
        CASE WHEN EXISTS (
            SELECT FROM job_run WHERE job_name = $4 AND job_run.site = $1 AND trigger <> 'api'
                AND finished_at >= escalation.started_at AND started_at = escalation.started_at
        ) THEN 'by_run' ELSE 'same' END
    WHEN item.episode <> shadow.episode OR NOT item.is_active OR item.status = 'done' THEN 'other'
    ELSE 'open' END AS outcome, count(*) AS count
FROM autopilot_shadow AS shadow JOIN item ON item.id = shadow.item
    LEFT JOIN escalation ON escalation.item = shadow.item AND escalation.episode = shadow.episode
    LEFT JOIN LATERAL (
        SELECT after ->> 'assignee' AS assignee, actor FROM item_change
        WHERE item_change.item = shadow.item AND item_change.episode = shadow.episode AND at >= shadow.planned_at
            AND after ->> 'assignee' IS NOT NULL
        ORDER BY item_change.id LIMIT 1
    ) AS got ON shadow.action = 'auto_assign'
WHERE shadow.site = $1 AND shadow.planned_at > $2
GROUP BY 1, 2
"""


async def get_history(read: Read, wanted: HistoryFilter) -> History:
    """The newest runs."""
    items = _runs(await read.pool.fetch(SELECT_NEWEST, read.site, wanted.limit))
    return History(generated_at=read.now, count=len(items), limit=wanted.limit, items=items)


async def get_summary(read: Read, wanted: SummaryWindow) -> Summary:
    """The runs of a window in figures."""
    since = read.now - timedelta(days=wanted.days)
    runs = await _window(read.pool, read.site, since)
    shadow = await read.pool.fetch(SELECT_SHADOWS, read.site, since, SYSTEM, ESCALATION_JOB)
    return Summary(
        generated_at=read.now,
        window_days=wanted.days,
        **_metrics(runs).model_dump(exclude={"consecutive_cooldown_skips"}),
        dry_runs=sum(run.dry_run and not run.skipped for run in runs),
        shadow_runs=sum(run.shadow and not run.dry_run and not run.skipped for run in runs),
        undone_runs=sum(run.undone_at is not None for run in runs),
        status_counts=StatusCounts(**Counter[str](run.status for run in runs)),
        planned_action_counts=_actions([run.planned_actions for run in runs]),
        executed_action_counts=_actions([run.actions for run in runs if run.executed]),
        shadow={action: _share(action, shadow) for action in domain.ACTIONS},
        latest_run=runs[0] if runs else None,
    )


async def get_anomalies(read: Read, wanted: AnomalyWindow) -> Anomalies:
    """What looks wrong about the runs of a window."""
    runs = await _window(read.pool, read.site, read.now - timedelta(days=wanted.days))
    metrics = _metrics(runs)
    latest = runs[0] if runs else None
    seen = judged.Figures(
        **metrics.model_dump(exclude={"executed_runs", "skipped_runs"}),
        latest_status=latest.status if latest else None,
        latest_critical_open=latest.critical_open_count if latest else None,
        latest_overdue=latest.overdue_count if latest else None,
    )
    found = judged.anomalies(seen)
    return Anomalies(
        generated_at=read.now,
        window_days=wanted.days,
        health_status=judged.health(found),
        anomaly_count=len(found),
        anomalies=[Anomaly(**one._asdict()) for one in found],
        metrics=metrics,
        latest_run=latest,
        recommendations=judged.recommendations(found),
    )


def _metrics(runs: Sequence[PastRun]) -> AnomalyMetrics:
    """The figures of runs, newest first."""
    skipped = sum(run.skipped for run in runs)
    return AnomalyMetrics(
        total_runs=len(runs),
        executed_runs=sum(run.executed for run in runs),
        skipped_runs=skipped,
        success_rate_percent=judged.percent(sum(run.status == "success" for run in runs), len(runs), 100.0),
        skipped_rate_percent=judged.percent(skipped, len(runs), 0.0),
        cooldown_blocked_runs=sum(run.skip_reason == "cooldown_active" for run in runs),
        error_runs=sum(run.errors_count > 0 or run.status == "failed" for run in runs),
        consecutive_cooldown_skips=judged.cooldown_skips(run.skip_reason for run in runs),
    )


async def _window(source: Source, site: str, since: datetime) -> list[PastRun]:
    return _runs(await source.fetch(SELECT_WINDOW, site, since, MAX_RUNS))


def _runs(rows: Sequence[asyncpg.Record]) -> list[PastRun]:
    return [PastRun(**{name: value for name, value in row.items() if value is not None}) for row in rows]


def _actions(each: Sequence[Sequence[Action]]) -> ActionCounts:
    counts = Counter(action for actions in each for action in actions)
    return ActionCounts(auto_assign=counts["auto_assign"], escalation=counts["escalation"])


def _share(action: Action, rows: Sequence[asyncpg.Record]) -> ShadowShare:
    counts: dict[str, Any] = {row["outcome"]: row["count"] for row in rows if row["action"] == action}
    same, other = counts.get("same", 0), counts.get("other", 0)
    return ShadowShare(
        suggested_count=sum(counts.values()),
        same_count=same,
        other_count=other,
        by_run_count=counts.get("by_run", 0),
        open_count=counts.get("open", 0),
        agreement_percent=judged.percent(same, same + other, 0.0) if same + other else None,
    )


TABLE = Table(
    queries={
        contract.get_history: get_history,
        contract.get_summary: get_summary,
        contract.get_anomalies: get_anomalies,
    }
)
