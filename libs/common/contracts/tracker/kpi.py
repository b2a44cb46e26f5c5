"""KPIs of a site's boards: what there is to do, how old it is, how fast it goes, and whether it gets better."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Csv, Line, Model, Open, Query, Time, Token
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.tracker.items import BASE, ItemStatus
from libs.common.problems import NotFound

KPI_JOB = "ops_governance_remediation_kpi"


class KpiWindow(Model):
    """Of all gates of a site, or of one."""

    window_days: int = Field(14, ge=1, le=180, description="How far back to look")
    due_soon_hours: int = Field(24, ge=0, le=168, description="How far ahead a due time counts as soon")
    gate: Token | None = Field(None, description="Only boards of this gate")


class KpiMetrics(Open):
    """Counts are of active items unless the name says otherwise; ages count from when an episode opened."""

    total_items: int
    active_items: int
    open_items: int
    pending_count: int
    in_progress_count: int
    done_count: int
    blocked_count: int
    completion_rate_percent: int
    critical_open_count: int
    unassigned_open_count: int
    overdue_count: int
    due_soon_count: int
    done_last_window_count: int
    throughput_per_day: float
    avg_open_age_hours: float | None
    median_open_age_hours: float | None
    oldest_open_age_hours: float | None


class BacklogPoint(Open):
    finished_at: Time
    open_items: int
    source_job: str
    status: JobStatus
    run_id: int


class BacklogHistory(Open):
    """``trend`` compares the newest point with the oldest of the window."""

    window_days: int
    count: int
    trend: Literal["up", "down", "flat"]
    points: list[BacklogPoint]


class OverdueItem(Open):
    id: int
    item_id: str
    rule_id: str
    priority: int
    owner_role: str
    assignee: str | None
    status: ItemStatus
    due_at: Time
    overdue_hours: float


class KpiFacts(Open):
    """What a run keeps, and a snapshot shows."""

    window_days: int
    due_soon_hours: int
    metrics: KpiMetrics
    status_counts: dict[str, int]
    assignee_open_counts: dict[str, int]
    backlog_history: BacklogHistory
    top_overdue_items: list[OverdueItem]
    recommendations: list[str]


class Kpi(KpiFacts):
    generated_at: Time


class KpiRun(KpiFacts):
    """The same with the job envelope."""

    run_id: int
    job_name: str
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time


class SeriesFilter(Model):
    days: int = Field(30, ge=1, le=366, description="How many days, today included")
    gate: Token | None = Field(None, description="Only boards of this gate")
    owner_role: Line | None = Field(None, description="Only items that this role owns")
    rule_id: Line | None = Field(None, description="Only items of this rule")


class KpiDay(Open):
    """A day (UTC). ``backlog`` is open items at its end; means are over what ended, or was answered, on that day.

    ``mttr_hours``: opened until a run passed the rule. ``lead_hours``: opened until the claim that was confirmed.
    ``first_response_hours``: opened until a person first did something about it, or commented.
    Null: nothing to take a mean of.
    ``reopened_percent``: reopened and refused, beside opened and these.
    """

    day: date
    backlog: int
    opened_count: int
    reopened_count: int
    refused_count: int
    resolved_count: int
    mttr_hours: float | None
    lead_hours: float | None
    first_response_hours: float | None
    sla_met_count: int
    sla_missed_count: int
    sla_hit_percent: float | None
    reopened_percent: float | None


DAY_COLUMNS = tuple(KpiDay.model_fields)


class KpiSeries(Open):
    """``days`` oldest first. ``by_role`` and ``by_rule`` are open items now."""

    generated_at: Time
    days: list[KpiDay]
    by_role: dict[str, int]
    by_rule: dict[str, int]


class Duties(Open):
    """Open items of all sites."""

    open_count: int
    critical_open_count: int
    unassigned_open_count: int


get_kpi = Query(
    "tracker.kpi.get",
    params=KpiWindow,
    result=Kpi,
    permission="remediation:read",
    http=GET(f"{BASE}/kpi"),
    summary="Backlog, ageing and throughput of a site's boards",
)
get_series = Query(
    "tracker.kpi.series",
    params=SeriesFilter,
    result=KpiSeries,
    permission="remediation:read",
    http=GET(f"{BASE}/kpi/series", csv=Csv("days", DAY_COLUMNS, "ops-governance-remediation-kpi-series")),
    summary="A row per day: backlog, flow, MTTR, lead and response time, SLA hit rate",
)
run_kpi = Command(
    "tracker.kpi.run",
    about="{site}",
    body=KpiWindow,
    result=KpiRun,
    permission="remediation:write",
    http=POST(f"{BASE}/kpi/run", query=("window_days", "due_soon_hours", "gate")),
    summary="Take the KPIs and keep them as a run",
    job=KPI_JOB,
)
latest_kpi = Query(
    "tracker.kpi.latest",
    result=KpiRun,
    permission="remediation:read",
    http=GET(f"{BASE}/kpi/latest"),
    errors=(NotFound,),
    summary="The newest run of the KPIs",
)
count_duties = Query("tracker.duties.count", result=Duties, sited=False)  # for services
