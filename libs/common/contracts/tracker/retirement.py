"""Retirement: a subject is released no more, so nothing on its board is work any longer."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import POST, Command, Event, Model, Open, Time, Token
from libs.common.contracts.names import LineFilter, Subject
from libs.common.contracts.tracker.board import board_id
from libs.common.contracts.tracker.items import BASE
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound


class Retire(Model):
    gate: Token = Field(description="The gate whose board this is")
    subject: Subject
    line: LineFilter | None = Field(
        None, description="Only this line; else all of the subject; empty: the one without a name"
    )
    reason: Reason = Field(description="Why, in a line; it stays with the board")


class Retired(Open):
    """``retired_count``: how many open items of these ``lines`` are work no longer. It is told of each line."""

    gate: str
    subject: str
    reason: str
    retired_by: str
    retired_at: Time
    retired_count: int
    lines: list[str] = []


retire_board = Command(
    "tracker.board.retire",
    about=board_id,
    body=Retire,
    result=Retired,
    permission="remediation:complete",
    http=POST(f"{BASE}/retire"),
    errors=(NotFound, Conflict, Invalid),
    summary="Retire a subject: its open items leave SLA, KPIs and escalation until somebody has it judged again",
)
board_retired = Event("tracker.board.retired", data=Retired, summary="A subject was retired, and its board closed")
