"""The daily check: the runbook at one moment, told to the gates, raised if it is bad, and archived."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Csv, Event, Model, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.operations.runbook import RunbookCheck
from libs.common.contracts.preflight import Overall
from libs.common.problems import NotFound

JOB = "ops_daily_check"
Format = Literal["json", "csv"]


class CheckedAlert(Open):
    """``attempted``: the result reached ``level``, so `operations.alert.raised` was told to whoever subscribed to it.

    ``dispatched``: at least one delivery arrived; false also where nobody has subscribed. Null as long as nobody can
    say. ``error``: how many deliveries failed, or that all did, with the newest reason. Deliveries are tried for hours,
    so both may change after the run; its files say what was known then.
    """

    level: Literal["off", "critical", "warning", "always"]
    attempted: bool
    dispatched: bool | None = None
    error: str | None = None


class Archive(Open):
    """The files in the store. ``error`` says why there are none, ``sha256`` are of the files as they are downloaded."""

    enabled: bool = True
    retention_days: int
    json_file: str | None = None
    json_sha256: str | None = None
    csv_file: str | None = None
    csv_sha256: str | None = None
    error: str | None = None


class DailyCheck(Open):
    """``status`` of the run follows from the worst check. ``site_count``: sites whose gates were told."""

    version: str = "v1"
    job_name: str
    run_id: int
    checked_at: Time
    trigger: JobTrigger
    status: JobStatus
    overall_status: Overall
    check_count: int
    warning_count: int
    critical_count: int
    site_count: int
    alert: CheckedAlert
    archive: Archive
    checks: list[RunbookCheck]


class LatestWanted(Model):
    include_checks: bool = Field(True, description="Whether to show each check")


class ArchiveFilter(Model):
    limit: int = Field(30, ge=1, le=365, description="How many of the newest")


class ArchiveRow(Open):
    """A daily check whose files are in the store; what is not there any more is not listed."""

    run_id: int
    finished_at: Time
    trigger: JobTrigger
    status: JobStatus
    overall_status: Overall
    check_count: int
    warning_count: int
    critical_count: int
    alert_level: str
    alert_attempted: bool
    alert_dispatched: bool | None
    archive_json_file: str | None
    archive_json_sha256: str | None
    archive_csv_file: str | None
    archive_csv_sha256: str | None
    archive_error: str | None


class ArchiveList(Open):
    job_name: str
    count: int
    rows: list[ArchiveRow]


class ArchiveKey(Model):
    check_run_id: int = Field(ge=1, le=2**63 - 1, description="The number of the daily check's run")
    kind: Format = Field("json", description="json or csv")


class AlertRaised(Open):
    """A daily check found what somebody should see; ``problems`` are its checks that are not ok."""

    run_id: int
    checked_at: Time
    overall_status: Overall
    warning_count: int
    critical_count: int
    problems: list[RunbookCheck]


run_check = Command(
    "operations.check.run",
    about="{run_id}",
    result=DailyCheck,
    permission="operations:run",
    http=POST("/api/ops/runbook/checks/run"),
    summary="Make the daily check now: every check, told to the gates and archived",
    sited=False,
    job=JOB,
)
latest_check = Query(
    "operations.checks.latest",
    params=LatestWanted,
    result=DailyCheck,
    permission="operations:read",
    http=GET("/api/ops/runbook/checks/latest"),
    errors=(NotFound,),
    summary="The newest daily check",
    sited=False,
)
latest_summary = Query(
    "operations.checks.summary",
    result=DailyCheck,
    permission="operations:read",
    http=GET("/api/ops/runbook/checks/latest/summary.json"),
    errors=(NotFound,),
    summary="The newest daily check, as it is archived",
    sited=False,
)
latest_csv = Query(
    "operations.checks.sheet",
    result=Blob,
    permission="operations:read",
    http=GET("/api/ops/runbook/checks/latest/summary.csv", file="text/csv"),
    errors=(NotFound,),
    summary="The newest daily check as CSV: the run, then its checks",
    sited=False,
)
list_archives = Query(
    "operations.check_files.list",
    params=ArchiveFilter,
    result=ArchiveList,
    permission="operations:read",
    http=GET(
        "/api/ops/runbook/checks/archive.json",
        csv=Csv(
            "rows",
            (
                "run_id", "finished_at", "trigger", "status", "overall_status", "check_count", "warning_count",
                "critical_count", "alert_level", "alert_attempted", "alert_dispatched",
                "archive_json_file", "archive_csv_file", "archive_error",
            ),
            "ops-daily-check-archive",
        ),
        csv_path="/api/ops/runbook/checks/archive.csv",
    ),
    summary="Daily checks whose files are in the store, newest first",
    sited=False,
)  # fmt: skip
get_archive = Query(
    "operations.check_files.get",
    params=ArchiveKey,
    result=Blob,
    permission="operations:read",
    http=GET("/api/ops/runbook/checks/archive/{check_run_id}", file="application/octet-stream", bucket="checks"),
    errors=(NotFound,),
    summary="Download an archived daily check",
    sited=False,
)
alert_raised = Event(
    "operations.alert.raised", data=AlertRaised, summary="A daily check found what somebody should see"
)
