"""Boards: the items of one gate and subject, brought in line with its runs."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Json, Model, Open, Query, Time, Token
from libs.common.contracts.governance.runs import Decision
from libs.common.contracts.names import LineFilter, Subject, Version
from libs.common.contracts.tracker.items import BASE, Item
from libs.common.problems import Invalid, TimedOut


class Board(Model):
    """Which board: by default the operations gate's.

    A subject has a board for each of its lines; where it has one only, it need not be named.
    """

    gate: Token = Field("operations", description="The gate whose board this is")
    subject: Subject = "site"
    line: LineFilter | None = None


def board_id(asked: Json, made: Json) -> str:
    """How events name a board: ``gate/subject``, of a line ``gate/subject#line``. A line that was not said is in what
    came of it.
    """
    line = asked.get("line") or made.get("line") or (made.get("readiness") or {}).get("line")
    return f"{asked.get('gate')}/{asked.get('subject')}" + (f"#{line}" if line else "")


class SyncBody(Board):
    """A gate over software needs ``subject`` and ``version`` to be judged afresh."""

    version: Version | None = None
    include_warnings: bool = Field(True, description="With the rules that only warn")
    max_items: int = Field(30, ge=1, le=200, description="How many items at the most")


class SyncResult(Open):
    generated_at: Time
    line: str = ""
    gate_generated_at: Time
    decision: Decision
    include_warnings: bool
    max_items: int
    synced_count: int
    created_count: int
    reopened_count: int
    resolved_count: int
    active_count: int
    items: list[Item]


class Overview(Open):
    generated_at: Time
    line: str = ""
    total_items: int
    active_count: int
    closed_count: int
    pending_count: int
    in_progress_count: int
    done_count: int
    blocked_count: int
    completion_rate_percent: int
    missing_assignee_count: int
    critical_open_count: int
    overdue_count: int


class BoardSynced(Open):
    gate: str
    subject: str
    line: str = ""
    gate_run_id: int
    created_count: int
    reopened_count: int
    resolved_count: int
    active_count: int


class BoardReopened(Open):
    gate: str
    subject: str
    line: str = ""
    reason: str


sync_board = Command(
    "tracker.board.sync",
    about=board_id,
    body=SyncBody,
    result=SyncResult,
    permission="remediation:write",
    http=POST(f"{BASE}/sync"),
    errors=(Invalid, TimedOut),
    summary="Run the gate afresh and bring the board in line with it",
)
get_overview = Query(
    "tracker.overview.get",
    params=Board,
    result=Overview,
    permission="remediation:read",
    http=GET(f"{BASE}/overview"),
    errors=(Invalid,),
    summary="Counts of the board",
)
board_synced = Event("tracker.board.synced", data=BoardSynced, summary="A board was brought in line with a fresh run")
board_reopened = Event(
    "tracker.board.reopened", data=BoardReopened, summary="A completed or retired board became active again"
)
