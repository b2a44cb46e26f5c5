"""Backups as the installation knows them: made by an administrator's process, the keeper, which tells of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.jobs import JobStatus
from libs.common.contracts.operations.rehearsals import Count, Problem, Seconds
from libs.common.problems import Conflict, Invalid, NotFound

JOB = "backup"
MAX_PROBLEMS = 50
MAX_REMOVED = 200
BACKUP_ID = r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$"
BackupId = Annotated[str, StringConstraints(pattern=BACKUP_ID)]
Place = Literal["folder", "s3"]


class BackupResult(Model):
    """What the keeper did, or found of a backup that was there. Good is what was read back to its last byte."""

    backup_id: BackupId | None = Field(None, description="Which backup; none if none could be made")
    started_at: datetime = Field(description="When the work began; with a time zone")
    finished_at: datetime = Field(description="When it ended; with a time zone")
    recovery_point: datetime | None = Field(None, description="What was acknowledged before is in the backup")
    good: bool = Field(description="Whether every byte of it was read and is right")
    problems: list[Problem] = Field(
        [], max_length=MAX_PROBLEMS, description="What is wrong with it, or why there is none"
    )
    backup_s: Seconds | None = Field(None, description="How long making it took; none if it was there")
    size_bytes: Count = Field(0, description="Size of the backup")
    rows: Count = Field(0, description="Rows of all tables in it")
    messages: Count = Field(0, description="Messages of all streams in it")
    audit_seq: Count = Field(0, description="The last entry of the audit log in it")
    audit_hash: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="Its hash")
    encrypted: bool = Field(False, description="Whether it is encrypted")
    place: Place = Field("folder", description="Where backups lie: folder or s3")
    kept_count: Count = Field(0, description="Whole backups that lie there now")
    removed: list[BackupId] = Field([], max_length=MAX_REMOVED, description="Backups that were pruned")
    free_bytes: Count | None = Field(None, description="Room that is left there; none where nobody can say")

    @model_validator(mode="after")
    def _is_in_itself_right(self) -> Self:
        moments = (self.started_at, self.finished_at, *([self.recovery_point] if self.recovery_point else []))
        if any(moment.tzinfo is None for moment in moments):
            raise PydanticCustomError("no_zone", "started_at, finished_at and recovery_point need a time zone")
        if self.finished_at < self.started_at:
            raise PydanticCustomError("backwards", "it ended before it began")
        if self.good != (not self.problems):
            raise PydanticCustomError("contradiction", "it is good exactly when there is no problem")
        if self.good and (self.backup_id is None or self.recovery_point is None):
            raise PydanticCustomError("nothing", "a good backup has an id and a recovery point")
        return self


class BackupRun(Open):
    """A backup that was told of. ``status``: success, critical (it is damaged), or warning (none could be made)."""

    run_id: int
    job_name: str
    status: JobStatus
    started_at: Time
    finished_at: Time
    backup_id: str | None
    recovery_point: Time | None
    good: bool
    problems: list[str]
    backup_s: float | None
    size_bytes: int
    rows: int
    messages: int
    audit_seq: int
    audit_hash: str
    encrypted: bool
    place: Place
    kept_count: int
    removed: list[str]
    free_bytes: int | None


class BackupHistory(Model):
    limit: int = Field(20, ge=1, le=100, description="How many of the newest")


class KeeperDuties(Open):
    """What the keeper must know: how many rehearsals wait, and what it told last (null: nothing yet)."""

    rehearsal_count: int
    last_backup_id: str | None
    last_good: bool | None
    last_finished_at: Time | None


report_backup = Command(
    "operations.backup_report.send",
    about="{run_id}",
    kind="operations.backup",
    body=BackupResult,
    result=BackupRun,
    permission="operations:rehearse",
    http=POST("/api/ops/backups/report", status=201),
    errors=(Invalid, Conflict),
    summary="Report a backup that was made, found damaged, or could not be made",
    sited=False,
)
latest_backup = Query(
    "operations.backup_reports.latest",
    result=BackupRun,
    permission="operations:read",
    http=GET("/api/ops/backups/latest"),
    errors=(NotFound,),
    summary="The newest word on backups",
    sited=False,
)
list_backups = Query(
    "operations.backup_reports.list",
    params=BackupHistory,
    result=list[BackupRun],
    permission="operations:read",
    http=GET("/api/ops/backups"),
    summary="What was told of backups, newest first",
    sited=False,
)
keeper_duties = Query(
    "operations.keeper.duties",
    result=KeeperDuties,
    permission="operations:rehearse",
    http=GET("/api/ops/keeper/duties"),
    summary="What waits for the administrator's process that makes backups and rehearses",
    sited=False,
)
backup_finished = Event(
    "operations.backup.finished", data=BackupRun, summary="A backup was made, found damaged, or could not be made"
)
