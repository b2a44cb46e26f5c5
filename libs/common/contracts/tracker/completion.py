"""Completion: may a board be closed, and who closed it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Open, Query, Time
from libs.common.contracts.names import Version
from libs.common.contracts.tracker.board import Board, Overview, board_id
from libs.common.contracts.tracker.items import BASE, Note
from libs.common.problems import Conflict, Invalid, TimedOut

CompletionStatus = Literal["active", "completed", "completed_with_exceptions"]


class Readiness(Overview):
    """``blockers`` holds one sentence for each thing that stands between the board and completion."""

    missing_completion_checked_count: int
    unverified_done_count: int
    readiness_score_percent: int
    ready: bool
    blockers: list[str]


class CompleteBody(Board):
    version: Version | None = None
    completion_note: Note = Field("", description="The completion note")
    force: bool = Field(False, description="Close it with exceptions")


class Completion(Open):
    status: CompletionStatus
    completion_note: str
    completed_by: str | None
    completed_at: Time | None
    force_used: bool
    last_checked_at: Time | None
    retired_at: Time | None = None
    retired_by: str | None = None
    retired_reason: str | None = None
    readiness: Readiness


class BoardCompleted(Open):
    gate: str
    subject: str
    line: str = ""
    status: CompletionStatus
    force_used: bool
    readiness_score_percent: int


complete_board = Command(
    "tracker.board.complete",
    about=board_id,
    body=CompleteBody,
    result=Completion,
    permission="remediation:complete",
    http=POST(f"{BASE}/complete"),
    errors=(Conflict, Invalid, TimedOut),
    summary="Close the board, if a fresh gate run agrees; `force` closes it with exceptions",
)
get_readiness = Query(
    "tracker.readiness.get",
    params=Board,
    result=Readiness,
    permission="remediation:read",
    http=GET(f"{BASE}/readiness"),
    errors=(Invalid,),
    summary="May the board be completed, and what stands in the way",
)
get_completion = Query(
    "tracker.completion.get",
    params=Board,
    result=Completion,
    permission="remediation:read",
    http=GET(f"{BASE}/completion"),
    errors=(Invalid,),
    summary="Whether the board is completed, by whom and how",
)
board_completed = Event("tracker.board.completed", data=BoardCompleted, summary="A board was completed")
