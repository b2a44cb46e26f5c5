"""Quality reports: what the installation's jobs, checks, alerts and duties came to in a week or a month."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.operations.streak import QualityStreak
from libs.common.contracts.preflight import Overall
from libs.common.problems import Invalid, NotFound

TEMPLATE = "ops-quality-v1"
WEEKLY_JOB, MONTHLY_JOB = "ops_quality_report_weekly", "ops_quality_report_monthly"
BASE = "/api/ops/reports/quality"
MAX_CHECKS = 200

Window = Literal["weekly", "monthly"]
Format = Literal["json", "csv", "html", "html_ko"]
Language = Literal["en", "ko"]
PartState = Literal["read", "empty", "missing", "absent"]
Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class MonthWanted(Model):
    month: Month | None = Field(None, description="Which month (UTC), such as 2026-03; else the one before this")


class PageWanted(Model):
    language: Language = Field("en", description="In which language the page is")


class MonthPageWanted(MonthWanted, PageWanted):
    """A month's report as a page."""


class ReportWanted(Model):
    window: Window = Field("weekly", description="weekly: the 7 days up to now; monthly: a month (UTC)")
    month: Month | None = Field(None, description="Of a monthly report: which month; else the one before this")


class ReportPeriod(Open):
    """From ``start`` up to ``end``. ``is_over``: no more can come in; a month that still runs is not."""

    start: Time
    end: Time
    is_over: bool


class ReportPart(Open):
    """``read``: its figures are there. ``empty``: it was read, and there was nothing to count. ``missing``: it could

    not be read, and ``reason`` says why. ``absent``: this version has no such thing.
    """

    name: str
    state: PartState
    reason: str = ""


class JobFigures(Open):
    """Runs of a job that did something or failed, over all sites. ``total`` holds those that ``failed``, too."""

    job_name: str
    total: int
    success: int
    warning: int
    critical: int
    failed: int
    success_rate_percent: float | None


class ReportSummary(Open):
    """Null is what could not be read, or has nothing to be counted of; it is never written as 0.

    ``critical_findings_total`` is the sum over the period's daily checks.
    """

    job_count: int | None
    job_runs_total: int | None
    critical_findings_total: int | None
    alert_delivery_total: int | None
    alert_delivery_success_rate_percent: float | None
    jobs: list[JobFigures]


class ReportedCheck(Open):
    """A daily check of the period; ``critical_count`` is null for one that failed itself."""

    run_id: int
    finished_at: Time
    status: JobStatus
    critical_count: int | None
    warning_count: int | None


class ReportedChecks(Open):
    """``items``: the newest 200."""

    check_count: int
    failed_count: int
    critical_count: int
    warning_count: int
    items: list[ReportedCheck]


class ReportedDeliveries(Open):
    """Deliveries of the notifier that ended on the UTC days from ``first_day`` to ``last_day``, of all sites."""

    first_day: date
    last_day: date
    delivered_count: int
    failed_count: int


class ReportedDuties(Open):
    """Remediation items of all sites that were open when the report was made."""

    open_count: int
    critical_open_count: int
    unassigned_open_count: int


class ReportedGates(Open):
    """Verdicts of all gates and sites in the period."""

    run_count: int
    go_count: int
    no_go_count: int


class ReportedPreflight(Open):
    """What the services said at their last start."""

    overall_status: Overall
    error_count: int
    warning_count: int
    check_count: int


class ReportedNoise(Open):
    """How many alerts were wrong or missed by what people said (site ``global``), as of when the report was made."""

    status: Literal["ok", "warning", "critical", "no_data"]
    message: str
    window_days: int
    reviewed_count: int
    false_positive_rate_percent: float | None
    false_negative_rate_percent: float | None


class ReportedSecurity(Open):
    """The security risk of the site ``global`` as gates were told it last; ``worst_score``: of a day of the period."""

    level: str
    score: float
    told_at: Time
    worst_score: float | None


class QualityReport(Open):
    """``complete``: every part that there is could be read; only such a weekly report counts for the streak.

    ``recommendations`` follow from the figures. ``admin_security`` is null until somebody has looked at it.
    """

    template_version: str
    generated_at: Time
    window: Window
    label: str
    period: ReportPeriod
    complete: bool
    parts: list[ReportPart]
    summary: ReportSummary
    daily_checks: ReportedChecks | None
    deliveries: ReportedDeliveries | None
    duties: ReportedDuties | None
    gates: ReportedGates | None
    preflight: ReportedPreflight | None
    admin_security: ReportedSecurity | None = None
    weekly_streak: QualityStreak
    alert_noise_policy: ReportedNoise | None
    recommendations: list[str]


class ReportArchive(Open):
    """The files in the store. ``error`` says why there are none."""

    enabled: bool = True
    retention_days: int
    json_file: str | None = None
    csv_file: str | None = None
    html_file: str | None = None
    html_ko_file: str | None = None
    error: str | None = None


class QualityRun(QualityReport):
    """A report that was made and archived. ``counts_for_streak``: its week counts by it.

    ``status`` is ``warning`` if the report is not complete, was not archived, or its checks found what is critical.
    """

    run_id: int
    job_name: str
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time
    counts_for_streak: bool
    archive: ReportArchive


class ReportMade(Open):
    """A quality report was made. ``missing_parts`` names those that could not be read."""

    run_id: int
    window: Window
    label: str
    status: JobStatus
    complete: bool
    counts_for_streak: bool
    missing_parts: list[str]
    critical_findings_total: int | None
    current_streak_weeks: int
    target_weeks: int


class ReportFilter(Model):
    window: Window | None = Field(None, description="Only weekly or monthly ones")
    limit: int = Field(30, ge=1, le=365, description="How many of the newest")


class ReportRow(Open):
    """A report that was made. A file that does not lie in the store any more is null."""

    run_id: int
    window: Window
    label: str
    made_at: Time
    trigger: JobTrigger
    status: JobStatus
    complete: bool
    counts_for_streak: bool
    critical_findings_total: int | None
    json_file: str | None
    json_sha256: str | None
    csv_file: str | None
    csv_sha256: str | None
    html_file: str | None
    html_sha256: str | None
    html_ko_file: str | None
    html_ko_sha256: str | None
    archive_error: str | None


class ReportList(Open):
    count: int
    rows: list[ReportRow]


class ReportKey(Model):
    report_run_id: int = Field(ge=1, le=2**63 - 1, description="The number of the run that made the report")
    kind: Format = Field("json", description="Which of its files")


run_report = Command(
    "operations.quality.run",
    about="{run_id}",
    body=ReportWanted,
    result=QualityRun,
    permission="operations:run",
    http=POST(f"{BASE}/run", query=("window", "month")),
    errors=(Invalid,),
    summary="Make a quality report now: archived, and a weekly one counts for the streak",
    sited=False,
    job=WEEKLY_JOB,
)
weekly_report = Query(
    "operations.quality.weekly",
    result=QualityReport,
    permission="operations:read",
    http=GET(f"{BASE}/weekly"),
    summary="The quality report of the 7 days up to now, without storing it",
    sited=False,
)
weekly_sheet = Query(
    "operations.quality.weekly_csv",
    result=Blob,
    permission="operations:read",
    http=GET(f"{BASE}/weekly/csv", file="text/csv"),
    summary="The same as CSV: the figures, then the jobs",
    sited=False,
)
weekly_page = Query(
    "operations.quality.weekly_html",
    params=PageWanted,
    result=Blob,
    permission="operations:read",
    http=GET(f"{BASE}/weekly/html", file="text/html"),
    summary="The same as a page for people, to be read or printed; it loads and runs nothing",
    sited=False,
)
monthly_report = Query(
    "operations.quality.monthly",
    params=MonthWanted,
    result=QualityReport,
    permission="operations:read",
    http=GET(f"{BASE}/monthly"),
    errors=(Invalid,),
    summary="The quality report of a month, without storing it",
    sited=False,
)
monthly_sheet = Query(
    "operations.quality.monthly_csv",
    params=MonthWanted,
    result=Blob,
    permission="operations:read",
    http=GET(f"{BASE}/monthly/csv", file="text/csv"),
    errors=(Invalid,),
    summary="The same as CSV: the figures, then the jobs",
    sited=False,
)
monthly_page = Query(
    "operations.quality.monthly_html",
    params=MonthPageWanted,
    result=Blob,
    permission="operations:read",
    http=GET(f"{BASE}/monthly/html", file="text/html"),
    errors=(Invalid,),
    summary="The same as a page for people, to be read or printed; it loads and runs nothing",
    sited=False,
)
list_reports = Query(
    "operations.quality_files.list",
    params=ReportFilter,
    result=ReportList,
    permission="operations:read",
    http=GET(f"{BASE}/archive"),
    summary="Quality reports that were made, newest first, with their files in the store",
    sited=False,
)
get_report_file = Query(
    "operations.quality_files.get",
    params=ReportKey,
    result=Blob,
    permission="operations:read",
    http=GET(f"{BASE}/archive/{{report_run_id}}", file="application/octet-stream", bucket="checks"),
    errors=(NotFound,),
    summary="Download an archived quality report",
    sited=False,
)
report_made = Event("operations.quality.reported", data=ReportMade, summary="A quality report was made")
