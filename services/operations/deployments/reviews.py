"""The monthly review: finds where the runbook's word and the tests of deployments did not agree; people decide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from libs.common import job_runs
from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import told_of
from libs.common.contracts.jobs import JobTrigger
from libs.common.contracts.operations import reviews as contract
from libs.common.contracts.operations.reviews import (
    JOB,
    SAMPLES,
    Candidate,
    CandidateDecided,
    CandidateDecision,
    CandidateFilter,
    Review,
    ReviewWanted,
)
from libs.common.problems import Invalid, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.operations.deployments.telling import SITE
from services.operations.domain.reviews import before, candidate, month_of, problems, window

LOOKED_AT = 5_000

SELECT_DEPLOYMENTS = """
SELECT run_id, status, detail->'checks' AS checks, (detail->>'runbook_gate_passed')::boolean AS gate_passed
FROM deployment WHERE finished_at >= $1 AND finished_at < $2 ORDER BY finished_at DESC, run_id DESC LIMIT $3
"""
COUNT_DEPLOYMENTS = "SELECT count(*) FROM deployment WHERE finished_at >= $1 AND finished_at < $2"
INSERT_REVIEW = """
INSERT INTO review (run_id, month, trigger, finished_at, deployment_count, whole, notes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
INSERT_CANDIDATES = """
INSERT INTO review_candidate (run_id, month, kind, problem_check_ids)
SELECT run_id, $1, kind, problems FROM jsonb_to_recordset($2) AS found (run_id bigint, kind text, problems text[])
ON CONFLICT (run_id) DO NOTHING
"""
_CANDIDATE = """
SELECT run_id, kind, month, status, finished_at, deploy_id, environment, deployment.detail->>'checklist_version' AS
    checklist_version, (detail->>'runbook_gate_passed')::boolean AS runbook_gate_passed, problem_check_ids, decision,
    decided_by, decided_at, reason
FROM review_candidate JOIN deployment USING (run_id)
"""
SELECT_CANDIDATE = f"{_CANDIDATE} WHERE run_id = $1"
LOCK_CANDIDATE = "SELECT decision, reason, decided_by FROM review_candidate WHERE run_id = $1 FOR UPDATE"
LIST_CANDIDATES = f"""{_CANDIDATE} WHERE ($1::text IS NULL OR month = $1) AND (NOT $2 OR decision IS NULL)
ORDER BY run_id DESC LIMIT $3
"""
SAMPLE_CANDIDATES = f"{_CANDIDATE} WHERE month = $1 AND kind = $2 ORDER BY decision IS NOT NULL, run_id DESC LIMIT $3"
COUNT_CANDIDATES = """
SELECT count(*) FILTER (WHERE kind = 'false_positive') AS positive,
    count(*) FILTER (WHERE kind = 'false_negative') AS negative, count(*) FILTER (WHERE decision IS NULL) AS undecided,
    count(*) FILTER (WHERE decision = 'confirmed') AS confirmed, max(decided_at) AS decided_at
FROM review_candidate WHERE month = $1
"""
DECIDE = """
UPDATE review_candidate SET decision = $2, reason = $3, decided_by = $4, decided_at = $5 WHERE run_id = $1
"""
SELECT_LATEST = """
SELECT run_id, month, trigger, finished_at, deployment_count, whole, notes FROM review
ORDER BY finished_at DESC, run_id DESC LIMIT 1
"""
# Months that are over, with a deployment that no review has seen since the month was over.
UNREVIEWED = """
SELECT DISTINCT to_char(deployment.finished_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month FROM deployment
WHERE deployment.finished_at < $1 AND NOT EXISTS (
    SELECT 1 FROM review WHERE month = to_char(deployment.finished_at AT TIME ZONE 'UTC', 'YYYY-MM') AND whole
        AND review.finished_at >= deployment.recorded_at)
ORDER BY month
"""
UNDECIDED = """
SELECT month, count(*) AS undecided FROM review_candidate WHERE decision IS NULL AND month < $1
GROUP BY month ORDER BY month
"""


async def run(tx: Tx, month: str, trigger: JobTrigger) -> Review:
    """Review a month. Raises `Invalid` for one that has not begun."""
    start, end = window(month)
    if start > tx.now:
        raise Invalid(f"{month} has not begun yet; name a month such as {before(month_of(tx.now))}.")
    rows = await tx.connection.fetch(SELECT_DEPLOYMENTS, start, end, LOOKED_AT)
    count: int = await tx.connection.fetchval(COUNT_DEPLOYMENTS, start, end)
    found = [one for row in rows if (one := _judged(row))]
    await tx.connection.execute(INSERT_CANDIDATES, month, found)
    notes = f"of {count} deployments the newest {LOOKED_AT} were looked at" if count > LOOKED_AT else ""
    run_id = await job_runs.next_run_id(tx)
    await tx.connection.execute(INSERT_REVIEW, run_id, month, trigger, tx.now, count, end <= tx.now, notes)
    done = await _latest(tx.connection)
    assert done is not None  # noqa: S101  it was just stored
    detail = done.model_dump(mode="json", exclude={"run_id", "job_name", "status", "trigger"})
    await job_runs.record(tx, JOB, JobDone(done.status, detail), trigger=trigger, run_id=run_id)
    tx.emit(contract.review_finished, done, subject=month, site=SITE)
    return done


def _judged(row: asyncpg.Record) -> dict[str, Any] | None:
    bad = problems((one["id"], one["status"]) for one in row["checks"])
    kind = candidate(row["status"], gate_passed=row["gate_passed"], found=bad)
    return {"run_id": row["run_id"], "kind": kind, "problems": bad} if kind else None


async def run_by_hand(tx: Tx, body: ReviewWanted) -> Review:
    """A review that a person asks for."""
    return await run(tx, body.month or before(month_of(tx.now)), "api")


async def run_by_clock(tx: Tx) -> None:
    """The review of the month that has just ended."""
    await run(tx, before(month_of(tx.now)), "schedule")


async def _latest(source: asyncpg.Pool | Connection) -> Review | None:
    row = await source.fetchrow(SELECT_LATEST)
    if row is None:
        return None
    start, end = window(row["month"])
    counts = await source.fetchrow(COUNT_CANDIDATES, row["month"])
    assert counts is not None  # noqa: S101  an aggregate is one row
    samples: dict[str, Any] = {}
    for kind in ("false_positive", "false_negative"):
        shown = await source.fetch(SAMPLE_CANDIDATES, row["month"], kind, SAMPLES)
        samples[f"{kind}_candidates"] = [Candidate(**dict(one.items())) for one in shown]
    completed = row["whole"] and not counts["undecided"]
    completed_at: datetime = max(row["finished_at"], counts["decided_at"] or row["finished_at"])
    total = counts["positive"] + counts["negative"]
    return Review(
        run_id=row["run_id"],
        trigger=row["trigger"],
        started_at=row["finished_at"],
        finished_at=row["finished_at"],
        month=row["month"],
        window_start=start,
        window_end=end,
        lookback_days=(end - start).days,
        deploy_smoke_count=row["deployment_count"],
        false_positive_candidate_count=counts["positive"],
        false_negative_candidate_count=counts["negative"],
        candidate_count=total,
        undecided_count=counts["undecided"],
        confirmed_count=counts["confirmed"],
        dismissed_count=total - counts["undecided"] - counts["confirmed"],
        review_completed=completed,
        review_completed_at=completed_at if completed else None,
        review_notes=row["notes"],
        **samples,
    )


async def latest(read: Read, _params: Nothing) -> Review:
    """The newest. Raises `NotFound`."""
    found = await _latest(read.pool)
    if found is None:
        raise NotFound("There was no review yet; make one with POST /api/ops/runbook/review/run?month=2026-03.")
    return found


async def list_candidates(read: Read, wanted: CandidateFilter) -> list[Candidate]:
    """What reviews have found."""
    rows = await read.pool.fetch(LIST_CANDIDATES, wanted.month, wanted.undecided, wanted.limit)
    return [Candidate(**dict(row.items())) for row in rows]


async def decide(tx: Tx, body: CandidateDecision) -> Candidate:
    """Keep a person's word; a later one replaces it, and both are events. Raises `NotFound` and `Invalid`."""
    if not body.reason.strip():
        raise Invalid("Say in a few words why.")
    before = await tx.connection.fetchrow(LOCK_CANDIDATE, body.deployment_id)
    if before is None:
        raise NotFound(f"No review has found {body.deployment_id}; see GET /api/ops/runbook/review/candidates.")
    values = (body.deployment_id, body.decision, body.reason.strip(), tx.actor, tx.now)
    await tx.connection.execute(DECIDE, *values)
    row = await tx.connection.fetchrow(SELECT_CANDIDATE, body.deployment_id)
    assert row is not None  # noqa: S101  it was just locked
    decided = Candidate(**dict(row.items()))
    told = told_of(CandidateDecided, decided, before)
    tx.emit(contract.candidate_decided, told, subject=str(body.deployment_id), site=SITE)
    return decided


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What of past months is not done: ``unreviewed`` months, and how many candidates of a month are ``undecided``."""

    unreviewed: list[str]
    undecided: dict[str, int]


async def outstanding(source: asyncpg.Pool | Connection, now: datetime) -> Outstanding:
    """What people have not done yet about months that are over."""
    this_month = month_of(now)
    months = await source.fetch(UNREVIEWED, window(this_month)[0])
    rows = await source.fetch(UNDECIDED, this_month)
    return Outstanding([row["month"] for row in months], {row["month"]: row["undecided"] for row in rows})


TABLE = Table(
    commands={contract.run_review: run_by_hand, contract.decide_candidate: decide},
    queries={contract.latest_review: latest, contract.list_candidates: list_candidates},
    # Before the daily check of the first: what it finds is then known.
    jobs=(Job(JOB, Schedule("5 0 1 * *"), run_by_clock, keeps_record=True),),
)
