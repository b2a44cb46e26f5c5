"""Escalation runs: which items are candidates, whose escalation begins, and the record of it; and the self-check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from libs.common import job_runs
from libs.common.contracts.base import Nothing
from libs.common.contracts.jobs import JobStatus
from libs.common.contracts.tracker import escalation as contract
from libs.common.contracts.tracker.escalation import (
    JOB,
    Candidate,
    EscalateBody,
    Escalated,
    EscalationCheck,
    LateStep,
    Unreached,
)
from libs.common.listing import Source
from libs.common.problems import NotFound
from libs.common.savepoints import taken_back
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.tracker.answers import notified
from services.tracker.board import sites
from services.tracker.chains import Rules, rules_of, thaw
from services.tracker.domain import item as domain
from services.tracker.ladder import Advanced, Rung, advance, climb_on, first_rungs
from services.tracker.sla import standing

MAX_BEGUN = 500  # escalations that one run begins; the next one goes on
MAX_SHOWN = 50
# A step is late, and an escalation has not begun when it should, only when both jobs have missed it clearly.
STEP_LATE = timedelta(minutes=10)
BEGIN_LATE = timedelta(minutes=90)

# What has no deadline, or waits with its clock paused, escalates to nobody.
_CANDIDATE = (
    "item.site = $1 AND item.is_active AND item.status <> 'done' AND item.paused_at IS NULL AND item.due_at <= $2"
)
_ESCALATION = "escalation.item = item.id AND escalation.episode = item.episode"
_NOT_BEGUN = """(escalation.item IS NULL OR escalation.started_at IS NULL AND escalation.acknowledged_at IS NULL
        AND (escalation.snoozed_until IS NULL OR escalation.snoozed_until <= $3))"""
_ORDER = "item.priority, item.due_at, item.id"
# Whether a chain is for the item, as `domain.escalation.Chain.fits` says; so that those without one fill no page.
_FITS = """EXISTS (
        SELECT FROM jsonb_to_recordset({}) AS chain (rules text[], priorities integer[], gates text[])
        WHERE (rules = '{{}}' OR item.rule_id = ANY (rules))
            AND (priorities = '{{}}' OR item.priority = ANY (priorities))
            AND (gates = '{{}}' OR item.gate = ANY (gates))
    )"""

COUNT_CANDIDATES = f"""
SELECT count(*) AS candidates, count(*) FILTER (WHERE rule_status = 'fail' AND required) AS critical,
    count(*) FILTER (WHERE NOT {_FITS.format("$3")}) AS unmatched
FROM item WHERE {_CANDIDATE}
"""  # noqa: S608 - our own text
SHOW_CANDIDATES = f"""
SELECT item.*, coalesce(escalation.level, 0) AS level, escalation.acknowledged_by, escalation.snoozed_until
FROM item LEFT JOIN escalation ON {_ESCALATION}
WHERE {_CANDIDATE}
ORDER BY {_ORDER} LIMIT $3
"""  # noqa: S608
SELECT_NOT_BEGUN = f"""
SELECT item.*, count(*) OVER () AS every FROM item LEFT JOIN escalation ON {_ESCALATION}
WHERE {_CANDIDATE} AND {_NOT_BEGUN} AND {_FITS.format("$4")} AND item.opened_at <= $5
    AND ($7::bigint[] IS NULL OR item.id = ANY ($7))
ORDER BY {_ORDER} LIMIT $6
"""  # noqa: S608
# What rested goes on with its item; and an acknowledgement ends with the claim that a run refused after it.
WAKE_RESTING = f"""
UPDATE escalation SET resting = false, acknowledged_at = NULL, acknowledged_by = NULL,
    look_at = CASE WHEN escalation.started_at IS NOT NULL THEN greatest($3, escalation.snoozed_until) END
FROM item
WHERE {_CANDIDATE} AND {_ESCALATION} AND (
    escalation.resting AND escalation.acknowledged_at IS NULL
    OR escalation.acknowledged_at IS NOT NULL AND EXISTS (
        SELECT FROM item_change
        WHERE item_change.item = item.id AND item_change.kind = 'refused' AND at > escalation.acknowledged_at
    )
)
"""  # noqa: S608
SELECT_LATE_STEPS = """
SELECT escalation.item, escalation.level, look_at, work.rule_id, frozen_chain.content, count(*) OVER () AS every
FROM escalation JOIN item AS work ON work.id = escalation.item JOIN frozen_chain ON digest = chain_digest
WHERE escalation.site = $1 AND look_at < $2 AND acknowledged_at IS NULL
ORDER BY look_at LIMIT $3
"""
# Nobody was told, and nothing follows; what has a further level has gone on to it.
SELECT_UNREACHED = """
SELECT work.id AS item_id, work.rule_id, escalation.level, step.answered_at AS since, coalesce(step.error, '') AS error,
    content, count(*) OVER () AS every
FROM escalation JOIN item AS work ON work.id = escalation.item AND work.episode = escalation.episode
    JOIN frozen_chain ON digest = chain_digest
    CROSS JOIN LATERAL (
        SELECT answered_at, answer->>'error' AS error FROM escalation_step
        WHERE escalation_step.item = work.id AND escalation_step.episode = work.episode
            AND escalation_step.level = escalation.level AND NOT dispatched
        ORDER BY at DESC, key DESC LIMIT 1
    ) AS step
WHERE escalation.site = $1 AND NOT reached AND escalation.level > 0 AND acknowledged_at IS NULL
    AND (snoozed_until IS NULL OR snoozed_until <= $2)
    AND work.is_active AND work.status <> 'done' AND work.paused_at IS NULL
ORDER BY step.answered_at LIMIT $3
"""


def until(now: datetime, hours: int) -> datetime:
    """Items due at this time or before are candidates: within ``hours``, or with 0 those that are overdue."""
    return now + timedelta(hours=hours) if hours else now - timedelta(microseconds=1)


async def escalate(tx: Tx, body: EscalateBody, *, begin: Sequence[int] | None = None) -> JobDone:
    """Escalate at ``tx.site``; what a run of the job, one by hand and one of the autopilot do.

    ``begin``: begin the escalations of these items and leave all others, also those under way, to the other jobs.
    A dry run does all of it and takes it back. Raises `Conflict` if the site's chains can't be read.
    """
    rules = await rules_of(tx.connection, tx.site, tx.now)
    settings = rules.settings
    hours = settings.include_due_soon_hours if body.include_due_soon_hours is None else body.include_due_soon_hours
    notify = settings.notify_enabled if body.notify is None else body.notify
    border = until(tx.now, hours)
    counted = await tx.connection.fetchrow(COUNT_CANDIDATES, tx.site, border, rules.fitting)
    assert counted is not None  # noqa: S101 - a count has one row
    shown = await tx.connection.fetch(SHOW_CANDIDATES, tx.site, border, MAX_SHOWN)
    done, left_over = Advanced(), 0
    if settings.enabled and notify and counted["candidates"]:
        done, left_over = await (_rehearse if body.dry_run else _perform)(tx, rules, border, begin)
    raised_count = 0 if body.dry_run else done.raised_count
    detail = {
        "enabled": settings.enabled,
        "due_soon_hours": hours,
        "notify_enabled": notify,
        "dry_run": body.dry_run,
        "snapshot": (await standing(tx.connection, tx.site, tx.now, hours)).model_dump(mode="json"),
        "candidate_count": counted["candidates"],
        "critical_count": counted["critical"],
        "cause": str(tx.message_id),
        "notify_attempted": raised_count > 0,
        "notify_dispatched": False,
        "notify_error": None,
        "notify_channels": [],
        "notify_pending_count": raised_count,
        "items": [_candidate(dict(row), tx.now).model_dump(mode="json") for row in shown],
        **done.counts(),
        "started_ids": done.begun_ids,
        "raised_count": raised_count,
        "would_raise_count": done.raised_count if body.dry_run else 0,
        "unmatched_count": counted["unmatched"],
        "left_over_count": left_over,
        "chains_source": rules.published.source,
        "chains_version": rules.published.version,
    }
    status = _status(settings.enabled, counted["candidates"], counted["critical"])
    return JobDone(status, detail, policy_version=f"{rules.published.source} {rules.published.version}")


def _status(enabled: bool, candidates: int, critical: int) -> JobStatus:
    if not enabled:
        return "warning"
    if critical:
        return "critical"
    return "warning" if candidates else "success"


async def _perform(tx: Tx, rules: Rules, border: datetime, begin: Sequence[int] | None) -> tuple[Advanced, int]:
    """Begin what has not begun, let what is due go on; also returns how many candidates are left for the next run."""
    if begin is None:
        await tx.connection.execute(WAKE_RESTING, tx.site, border, tx.now)
    new, every = await to_begin(tx.connection, tx.site, tx.now, rules, border, begin)
    return await advance(tx, {tx.site: rules}, new, due=begin is None), every - len(new)


async def to_begin(
    source: Source, site: str, now: datetime, rules: Rules, border: datetime, among: Sequence[int] | None = None
) -> tuple[list[Rung], int]:
    """Where escalations that have not begun would, the most urgent first, ``among`` those items; and how many can."""
    values = (site, border, now, rules.fitting, now, MAX_BEGUN, among)
    rows = await source.fetch(SELECT_NOT_BEGUN, *values)
    return first_rungs([domain.to_item(dict(row)) for row in rows], rules, now), rows[0]["every"] if rows else 0


async def _rehearse(tx: Tx, rules: Rules, border: datetime, begin: Sequence[int] | None) -> tuple[Advanced, int]:
    """Do it, and take it back: what a dry run says is what a real one would have done."""
    async with taken_back(tx):
        return await _perform(tx, rules, border, begin)


def _candidate(row: Mapping[str, Any], now: datetime) -> Candidate:
    return Candidate.model_validate({**row, "minutes_until_due": int((row["due_at"] - now).total_seconds() // 60)})


async def run_by_hand(tx: Tx, body: EscalateBody) -> Escalated:
    """A run that a person asks for. Raises like `escalate`."""
    run = await job_runs.record(tx, JOB, await escalate(tx, body))
    return Escalated.model_validate(job_runs.envelope(run))


async def latest(read: Read, params: Nothing) -> bytes:
    """The newest run as JSON of `Escalated`, with what is known by now of whom it reached; a run that failed has the
    reason instead. Raises `NotFound`.
    """
    run = await job_runs.latest(read.pool, read.site, JOB)
    if run is None:
        raise NotFound("The escalation has not run at this site yet; run it, or wait for its job.")
    known = job_runs.envelope(run)
    if known.get("notify_pending_count"):  # a run of a Headgate that asked for no answers has none
        known |= await notified(read.pool, UUID(run.detail["cause"]))
    return orjson.dumps(known, option=orjson.OPT_UTC_Z)


async def check(source: Connection | asyncpg.Pool, site: str, now: datetime) -> EscalationCheck:
    """Which steps did not run when they were due, of what nobody was told, and whether the calendar can be read.

    Raises `Conflict` if the site's chains can't be read.
    """
    rules = await rules_of(source, site, now)
    settings = rules.settings
    late: list[LateStep] = []
    unreached: list[asyncpg.Record] = []
    count = 0
    if settings.enabled and settings.notify_enabled:
        begun_by = now - BEGIN_LATE
        window = timedelta(hours=settings.include_due_soon_hours)
        for row in await source.fetch(SELECT_LATE_STEPS, site, now - STEP_LATE, MAX_SHOWN):
            chain = thaw(row["content"])
            name = chain.name if chain is not None else None
            late.append(_late(row["item"], row["rule_id"], name, row["level"] + 1, row["look_at"], now))
            count = row["every"]
        missed = await source.fetch(
            SELECT_NOT_BEGUN, site, begun_by + window, now, rules.fitting, begun_by, MAX_SHOWN, None
        )
        for row in missed:
            due_at = max(row["due_at"] - window, row["opened_at"])
            late.append(_late(row["id"], row["rule_id"], None, 0, due_at, now))
        count += missed[0]["every"] if missed else 0
        unreached = await source.fetch(SELECT_UNREACHED, site, now, MAX_SHOWN)
    late.sort(key=lambda one: -one.minutes_late)
    return EscalationCheck(
        generated_at=now,
        status="critical" if late or unreached else "success" if rules.calendar_problem is None else "warning",
        enabled=settings.enabled,
        late_count=count,
        late=late[:MAX_SHOWN],
        unreached_count=unreached[0]["every"] if unreached else 0,
        unreached=[_unreached(dict(row)) for row in unreached],
        calendar_problem=rules.calendar_problem,
    )


def _unreached(row: Mapping[str, Any]) -> Unreached:
    chain = thaw(row["content"])
    return Unreached(**row, chain=chain.name if chain is not None else None)


def _late(item: int, rule_id: str, chain: str | None, level: int, due_at: datetime, now: datetime) -> LateStep:
    minutes = int((now - due_at).total_seconds() // 60)
    return LateStep(item_id=item, rule_id=rule_id, chain=chain, level=level, due_at=due_at, minutes_late=minutes)


async def get_check(read: Read, params: Nothing) -> EscalationCheck:
    """The self-check now."""
    return await check(read.pool, read.site, read.now)


async def run_escalation(tx: Tx) -> JobDone:
    """The hourly job."""
    return await escalate(tx, EscalateBody())


async def run_check(tx: Tx) -> JobDone | None:
    """The self-check as a job: a run is told only when something is amiss."""
    found = await check(tx.connection, tx.site, tx.now)
    if found.status == "success":
        return None
    return JobDone(found.status, found.model_dump(mode="json", exclude={"generated_at", "status", "enabled"}))


TABLE = Table(
    commands={contract.run_escalation: run_by_hand},
    queries={contract.latest_escalation: latest, contract.check_escalation: get_check},
    jobs=(
        Job(JOB, Schedule("20 * * * *"), run_escalation, sites),
        Job("escalation_ladder", Schedule("* * * * *"), climb_on, looks=True),
        Job("escalation_check", Schedule("7,22,37,52 * * * *"), run_check, sites),
    ),
)
