"""Overview, readiness and completion of a board."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.runs import Decision, GateDecided
from libs.common.contracts.tracker import board as board_contract
from libs.common.contracts.tracker import completion as contract
from libs.common.contracts.tracker.board import Board, Overview
from libs.common.contracts.tracker.completion import (
    BoardCompleted,
    CompleteBody,
    Completion,
    CompletionStatus,
    Readiness,
    board_completed,
)
from libs.common.problems import Conflict, Invalid
from libs.common.service import Connection, Deferred, Read, Table, Tx
from services.tracker.board import Head, lock_board, to_head
from services.tracker.domain.readiness import Counts, assess, completion_rate_percent
from services.tracker.requests import request_run

COUNT_ITEMS = """
SELECT count(*) FILTER (WHERE is_active) AS active,
    count(*) FILTER (WHERE NOT is_active) AS closed,
    count(*) FILTER (WHERE is_active AND status = 'pending') AS pending,
    count(*) FILTER (WHERE is_active AND status = 'in_progress') AS in_progress,
    count(*) FILTER (WHERE is_active AND status = 'done') AS done,
    count(*) FILTER (WHERE is_active AND status = 'blocked') AS blocked,
    count(*) FILTER (WHERE is_active AND assignee IS NULL) AS missing_assignee,
    count(*) FILTER (WHERE is_active AND status <> 'done' AND rule_status = 'fail' AND required) AS critical_open,
    count(*) FILTER (WHERE is_active AND status <> 'done' AND paused_at IS NULL AND due_at < $4) AS overdue,
    count(*) FILTER (WHERE is_active AND NOT completion_checked) AS missing_completion_checked,
    count(*) FILTER (WHERE is_active AND status = 'done' AND verified_at IS NULL) AS unverified_done
FROM item WHERE site = $1 AND gate = $2 AND subject = $3
"""
READ_BOARD = "SELECT * FROM board WHERE site = $1 AND gate = $2 AND subject = $3"
COMPLETE_BOARD = """
UPDATE board SET completion_status = $4, completion_note = $5, completed_by = $6, completed_at = $7, force_used = $8,
    last_checked_at = $7
WHERE site = $1 AND gate = $2 AND subject = $3
RETURNING *
"""

Source = Connection | asyncpg.Pool


async def _count(source: Source, site: str, board: Board, now: datetime) -> Counts:
    row = await source.fetchrow(COUNT_ITEMS, site, board.gate, board.subject, now)
    return Counts(**dict(row)) if row is not None else Counts()


async def _head(source: Source, site: str, board: Board) -> Head | None:
    row = await source.fetchrow(READ_BOARD, site, board.gate, board.subject)
    return to_head(row) if row is not None else None


def _readiness(counts: Counts, decision: Decision | None, now: datetime) -> Readiness:
    assessment = assess(counts, decision)
    return Readiness(
        **_overview(counts, now).model_dump(),
        missing_completion_checked_count=counts.missing_completion_checked,
        unverified_done_count=counts.unverified_done,
        readiness_score_percent=assessment.score_percent,
        ready=assessment.ready,
        blockers=list(assessment.blockers),
    )


def _but(readiness: Readiness, blocker: str) -> Readiness:
    score = min(99, readiness.readiness_score_percent)
    blockers = [*readiness.blockers, blocker]
    return readiness.model_copy(update={"readiness_score_percent": score, "ready": False, "blockers": blockers})


def _overview(counts: Counts, now: datetime) -> Overview:
    return Overview(
        generated_at=now,
        total_items=counts.active,
        active_count=counts.active,
        closed_count=counts.closed,
        pending_count=counts.pending,
        in_progress_count=counts.in_progress,
        done_count=counts.done,
        blocked_count=counts.blocked,
        completion_rate_percent=completion_rate_percent(counts),
        missing_assignee_count=counts.missing_assignee,
        critical_open_count=counts.critical_open,
        overdue_count=counts.overdue,
    )


def _completion(head: Head | None, readiness: Readiness) -> Completion:
    if head is None:
        return Completion(
            status="active",
            completion_note="",
            completed_by=None,
            completed_at=None,
            force_used=False,
            last_checked_at=None,
            readiness=readiness,
        )
    return Completion(
        status=head.completion_status,
        completion_note=head.completion_note,
        completed_by=head.completed_by,
        completed_at=head.completed_at,
        force_used=head.force_used,
        last_checked_at=head.last_checked_at,
        retired_at=head.retired_at,
        retired_by=head.retired_by,
        retired_reason=head.retired_reason,
        readiness=readiness,
    )


async def get_overview(read: Read, params: Board) -> Overview:
    """Counts of a board; all zero for a board that has no items."""
    return _overview(await _count(read.pool, read.site, params, read.now), read.now)


async def get_readiness(read: Read, params: Board) -> Readiness:
    """Whether a board may be completed, judged now, with a sentence for each thing in the way."""
    head = await _head(read.pool, read.site, params)
    counts = await _count(read.pool, read.site, params, read.now)
    return _readiness(counts, head.decision if head is not None else None, read.now)


async def get_completion(read: Read, params: Board) -> Completion:
    """Whether a board is completed, by whom and how, with its readiness judged now."""
    head = await _head(read.pool, read.site, params)
    counts = await _count(read.pool, read.site, params, read.now)
    return _completion(head, _readiness(counts, head.decision if head is not None else None, read.now))


async def complete_board(tx: Tx, body: CompleteBody) -> Deferred:
    """Ask for a fresh run; the board is judged when it has been applied. Raises `Invalid`."""
    if body.force and not body.completion_note:
        raise Invalid("To complete a board by force, say why in completion_note.")
    return await request_run(tx, body)


async def resume_complete(
    tx: Tx, command: CloudEvent, body: CompleteBody, state: Mapping[str, Any], data: GateDecided
) -> Completion:
    """Complete the board if it is ready; if not, only by force and with exceptions. Raises `Conflict` with blockers.

    ``force_used`` is true only if force was needed. A NO_GO of the version that was asked about is in the way also when
    a run of another version has overtaken it: the board follows that one, and nobody asked about it.
    """
    head = await lock_board(tx, data.gate, data.subject)
    board = Board(gate=head.gate, subject=head.subject)
    readiness = _readiness(await _count(tx.connection, tx.site, board, tx.now), head.decision, tx.now)
    if data.decision != "go" and data.version != head.version:
        readiness = _but(readiness, f"Run {data.run_id}, which this asked for, is NO_GO for version {data.version}.")
    if not readiness.ready and not body.force:
        raise Conflict(
            "The board is not ready: clear the blockers, or send force and a completion_note to close with exceptions.",
            blockers=readiness.blockers,
            readiness_score_percent=readiness.readiness_score_percent,
        )
    status: CompletionStatus = "completed" if readiness.ready else "completed_with_exceptions"
    force_used = not readiness.ready
    row = await tx.connection.fetchrow(
        COMPLETE_BOARD,
        head.site,
        head.gate,
        head.subject,
        status,
        body.completion_note,
        command.actor,
        tx.now,
        force_used,
    )
    completed = BoardCompleted(
        gate=head.gate,
        subject=head.subject,
        status=status,
        force_used=force_used,
        readiness_score_percent=readiness.readiness_score_percent,
    )
    tx.emit(board_completed, completed, subject=head.name)
    return _completion(to_head(row) if row is not None else head, readiness)


TABLE = Table(
    commands={contract.complete_board: complete_board},
    queries={
        board_contract.get_overview: get_overview,
        contract.get_readiness: get_readiness,
        contract.get_completion: get_completion,
    },
    resumes={contract.complete_board: resume_complete},
)
