"""Rehearsed recovery: asked for here, done by an administrator's process, and its results told to the gates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.problems import Conflict, Invalid, NotFound

JOB = "dr_rehearsal"
MAX_PROBLEMS = 50
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Field(ge=0, le=10_000_000)]
Problem = Annotated[str, Field(max_length=500)]


class RehearsalWanted(Model):
    simulate_restore: bool = Field(True, description="Kept for older callers: every rehearsal really restores")


class RehearsalRequest(Open):
    """A rehearsal that somebody asked for, or the clock. It is done when a process of the administrator takes it up."""

    request_id: int
    requested_at: Time
    trigger: JobTrigger
    requested_by: str


class PendingRehearsals(Open):
    """Requests that no rehearsal has answered yet, oldest first. One answers all that were there before it began."""

    count: int
    items: list[RehearsalRequest]


class RehearsalResult(Model):
    """How a rehearsal went, as its process measured it; see docs/operations.md."""

    backup_id: str = Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$", description="Which backup it was")
    started_at: datetime = Field(description="When it began; with a time zone")
    finished_at: datetime = Field(description="When it ended; with a time zone")
    restore_valid: bool = Field(description="Whether everything compared held")
    problems: list[Problem] = Field([], max_length=MAX_PROBLEMS, description="Where something does not fit")
    backup_s: Seconds | None = Field(None, description="How long making the backup took; none if it was there")
    rto_s: Seconds | None = Field(None, description="From its first byte read to the first verified read")
    rpo_s: Seconds | None = Field(None, description="Age of the newest restored event when it began")
    total_s: Seconds = Field(0.0, description="How long all of it took")
    size_bytes: Count = Field(0, description="Size of the backup")
    tables: Count = Field(0, description="Tables that were compared")
    rows: Count = Field(0, description="Rows in them")
    streams: Count = Field(0, description="Streams that were restored")
    messages: Count = Field(0, description="Messages in them")
    audit_seq: Count = Field(0, description="The last entry of the audit log")
    audit_hash: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="Its hash")

    @model_validator(mode="after")
    def _is_in_itself_right(self) -> Self:
        if self.started_at.tzinfo is None or self.finished_at.tzinfo is None:
            raise PydanticCustomError("no_zone", "started_at and finished_at need a time zone")
        if self.finished_at < self.started_at:
            raise PydanticCustomError("backwards", "it ended before it began")
        if self.restore_valid != (not self.problems):
            raise PydanticCustomError("contradiction", "it is valid exactly when there is no problem")
        return self


class RehearsalRun(Open):
    """A rehearsal that was done. ``restore_valid`` only if every byte, row, message and entry of the audit log held."""

    run_id: int
    job_name: str
    status: JobStatus
    trigger: JobTrigger
    started_at: Time
    finished_at: Time
    enabled: bool
    simulate_restore: bool
    restore_valid: bool
    backup_file: str
    counts: dict[str, int]
    backup_s: float | None
    rto_s: float | None
    rpo_s: float | None
    total_s: float
    size_bytes: int
    audit_seq: int
    audit_hash: str
    notes: list[str]
    pruned_files: int


class RehearsalHistory(Model):
    limit: int = Field(20, ge=1, le=100, description="How many of the newest")


request_rehearsal = Command(
    "operations.rehearsal.run",
    about="{request_id}",
    body=RehearsalWanted,
    result=RehearsalRequest,
    permission="operations:run",
    http=POST("/api/ops/dr/rehearsal/run", query=("simulate_restore",), status=201),
    summary="Ask for a rehearsal: a process of the administrator takes it up and reports",
    sited=False,
)
report_rehearsal = Command(
    "operations.rehearsal.report",
    about="{run_id}",
    body=RehearsalResult,
    result=RehearsalRun,
    permission="operations:rehearse",
    http=POST("/api/ops/dr/rehearsal/report", status=201),
    errors=(Invalid, Conflict),
    summary="Report how a rehearsal went; it is told to every site's operations gate",
    sited=False,
)
pending_rehearsals = Query(
    "operations.rehearsals.pending",
    result=PendingRehearsals,
    permission="operations:read",
    http=GET("/api/ops/dr/rehearsal/pending"),
    summary="Rehearsals that were asked for and not done yet",
    sited=False,
)
latest_rehearsal = Query(
    "operations.rehearsals.latest",
    result=RehearsalRun,
    permission="operations:read",
    http=GET("/api/ops/dr/rehearsal/latest"),
    errors=(NotFound,),
    summary="The newest rehearsal",
    sited=False,
)
list_rehearsals = Query(
    "operations.rehearsals.list",
    params=RehearsalHistory,
    result=list[RehearsalRun],
    permission="operations:read",
    http=GET("/api/ops/dr/rehearsal/history"),
    summary="Rehearsals, newest first",
    sited=False,
)
rehearsal_requested = Event(
    "operations.rehearsal.requested", data=RehearsalRequest, summary="A rehearsal of recovery was asked for"
)
rehearsal_finished = Event(
    "operations.rehearsal.finished", data=RehearsalRun, summary="A backup was restored into scratch and compared"
)
