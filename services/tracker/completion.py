"""Overview, readiness and completion of a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

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
from libs.common.service import Deferred, Read, Table, Tx
from services.tracker.board import Head, lock_board, to_head
from services.tracker.domain.readiness import Counts, assess, completion_rate_percent
from services.tracker.requests import request_run

_COUNTS = """
    count(*) FILTER (WHERE is_active) AS active,
    count(*) FILTER (WHERE NOT is_active) AS closed,
    count(*) FILTER (WHERE is_active AND status = 'pending') AS pending,
    count(*) FILTER (WHERE is_active AND status = 'in_progress') AS in_progress,
    count(*) FILTER (WHERE is_active AND status = 'done') AS done,
    count(*) FILTER (WHERE is_active AND status = 'blocked') AS blocked,
    count(*) FILTER (WHERE is_active AND assignee IS NULL) AS missing_assignee,
    count(*) FILTER (WHERE is_active AND status <> 'done' AND rule_status = 'fail' AND required) AS critical_open,
    count(*) FILTER (WHERE is_active AND status <> 'done' AND paused_at IS NULL AND due_at < $5) AS overdue,
    count(*) FILTER (WHERE is_active AND NOT completion_checked) AS missing_completion_checked,
    count(*) FILTER (WHERE is_active AND status = 'done' AND verified_at IS NULL) AS unverified_done
"""
COUNT_ITEMS = f"SELECT {_COUNTS} FROM item WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4"  # noqa: S608
MAX_LINES = 100  # boards of one subject that are looked at
# Those of a subject, or the one of a line; what is retired comes last.
READ_BOARDS = f"""
SELECT board.*, counts.* FROM board CROSS JOIN LATERAL (
    SELECT {_COUNTS} FROM item
    WHERE item.site = board.site AND item.gate = board.gate AND item.subject = board.subject AND item.line = board.line
) AS counts
WHERE board.site = $1 AND board.gate = $2 AND board.subject = $3 AND ($4::text IS NULL OR board.line = $4)
ORDER BY board.retired_at IS NOT NULL, board.line LIMIT {MAX_LINES}
"""  # noqa: S608 - our own text
COMPLETE_BOARD = """
UPDATE board SET completion_status = $5, completion_note = $6, completed_by = $7, completed_at = $8, force_used = $9,
    last_checked_at = $8
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4
RETURNING *
"""


async def _look(read: Read, board: Board) -> tuple[Head | None, Counts]:
    """The board that is meant and its items' counts; None where there is none.

    Without a line it is the only one that is not retired. Raises `Invalid`, naming the lines, where there are several.
    """
    rows = await read.pool.fetch(READ_BOARDS, read.site, board.gate, board.subject, board.line, read.now)
    heads = [to_head(row) for row in rows]
    live = [head for head in heads if head.retired_at is None]
    if len(live or heads) > 1:
        lines = ", ".join(head.line or "the one without a name (line=)" for head in (live or heads)[:20])
        raise Invalid(f"{board.subject} has boards of several lines: {lines}. Say which line you mean.")
    if not heads:
        return None, Counts()
    return heads[0], Counts(**{field.name: rows[0][field.name] for field in fields(Counts)})


def _readiness(counts: Counts, decision: Decision | None, line: str, now: datetime) -> Readiness:
    assessment = assess(counts, decision)
    return Readiness(
        **_overview(counts, line, now).model_dump(),
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


def _overview(counts: Counts, line: str, now: datetime) -> Overview:
    return Overview(
        generated_at=now,
        line=line,
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
    """Counts of a board; all zero for a board that has no items. Raises `Invalid` where the line must be named."""
    head, counts = await _look(read, params)
    return _overview(counts, _line(head, params), read.now)


async def get_readiness(read: Read, params: Board) -> Readiness:
    """Whether a board may be completed, judged now, with a sentence for each thing in the way. Raises `Invalid`."""
    head, counts = await _look(read, params)
    return _readiness(counts, head.decision if head is not None else None, _line(head, params), read.now)


async def get_completion(read: Read, params: Board) -> Completion:
    """Whether a board is completed, by whom and how, with its readiness judged now. Raises `Invalid`."""
    head, counts = await _look(read, params)
    decision = head.decision if head is not None else None
    return _completion(head, _readiness(counts, decision, _line(head, params), read.now))


def _line(head: Head | None, params: Board) -> str:
    return head.line if head is not None else params.line or ""


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
    head = await lock_board(tx, data.gate, data.subject, data.line)
    counted = await tx.connection.fetchrow(COUNT_ITEMS, *head.key, tx.now)
    assert counted is not None  # noqa: S101 - counts always make a row
    readiness = _readiness(Counts(**dict(counted)), head.decision, head.line, tx.now)
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
        *head.key,
        status,
        body.completion_note,
        command.actor,
        tx.now,
        force_used,
    )
    completed = BoardCompleted(
        gate=head.gate,
        subject=head.subject,
        line=head.line,
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
