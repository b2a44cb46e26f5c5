"""What the autopilot has done: its history, a summary, and what looks wrong; each also as CSV.

Header, file names and codes are those of the facility system. Where its numbers were wrong, ours differ: a run that was
dry, in shadow or skipped does not count as executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from libs.common.contracts.base import GET, Csv, Json, Model, Open, Query, Time
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.tracker.autopilot import Action, SkipReason
from libs.common.contracts.tracker.autopilot_policy import AUTOPILOT

FILE = "ops-governance-remediation-autopilot"
HISTORY_COLUMNS = (
    "run_id", "status", "trigger", "started_at", "finished_at", "dry_run", "force", "skipped", "skip_reason",
    "planned_actions", "actions", "errors_count", "open_items", "overdue_count", "unassigned_open_count",
    "critical_open_count",
)  # fmt: skip
ANOMALY_COLUMNS = (
    "generated_at", "window_days", "health_status", "total_runs", "success_rate_percent", "skipped_rate_percent",
    "cooldown_blocked_runs", "error_runs", "code", "severity", "message", "observed", "target", "recommendation",
)  # fmt: skip
Severity = Literal["warning", "critical"]


class HistoryFilter(Model):
    limit: int = Field(20, ge=1, le=100, description="How many runs at the most")


class SummaryWindow(Model):
    days: int = Field(7, ge=1, le=90, description="How far back to look")


class AnomalyWindow(Model):
    days: int = Field(14, ge=1, le=90, description="How far back to look")


class PastRun(Open):
    """A run in short. Counts of items are from after it; a run that failed has none.

    ``executed``: it did something, neither dry nor in shadow. ``actions`` of a dry run were dry, too.
    """

    run_id: int
    status: JobStatus
    trigger: JobTrigger
    started_at: Time
    finished_at: Time
    dry_run: bool = False
    force: bool = False
    skipped: bool = False
    skip_reason: SkipReason | None = None
    planned_actions: list[Action] = []
    actions: list[Action] = []
    errors_count: int = 0
    open_items: int | None = None
    overdue_count: int | None = None
    unassigned_open_count: int | None = None
    critical_open_count: int | None = None
    executed: bool = False
    shadow: bool = False
    touched_count: int = 0
    undone_at: Time | None = None
    undone_by: str | None = None


class History(Open):
    """Runs of the site, newest first."""

    generated_at: Time
    count: int
    limit: int
    items: list[PastRun]


class StatusCounts(Open):
    success: int = 0
    warning: int = 0
    critical: int = 0
    failed: int = 0


class ActionCounts(Open):
    auto_assign: int = 0
    escalation: int = 0


class ShadowShare(Open):
    """What shadow runs would have done, each suggestion once, and what happened since.

    ``same_count``: people gave the item to the same person, or had its escalation begin. ``other_count``: people gave
    it to somebody else, or it was done without. ``by_run_count``: another job did it. ``open_count``: nothing yet.
    ``agreement_percent``: same beside same and other; null while there is neither.
    """

    suggested_count: int
    same_count: int
    other_count: int
    by_run_count: int
    open_count: int
    agreement_percent: float | None


class Summary(Open):
    """Runs of the last ``window_days``. ``error_runs`` are those in which an action failed, or which failed as a whole.

    ``success_rate_percent`` is 100.0 while there are no runs, as callers know it: read ``total_runs`` with it.
    """

    generated_at: Time
    window_days: int
    total_runs: int
    executed_runs: int
    skipped_runs: int
    dry_runs: int
    shadow_runs: int
    undone_runs: int
    status_counts: StatusCounts
    planned_action_counts: ActionCounts
    executed_action_counts: ActionCounts
    cooldown_blocked_runs: int
    error_runs: int
    success_rate_percent: float
    skipped_rate_percent: float
    shadow: dict[Action, ShadowShare]
    latest_run: PastRun | None


class Anomaly(Open):
    code: str
    severity: Severity
    message: str
    observed: float
    target: float
    recommendation: str


class AnomalyMetrics(Open):
    total_runs: int
    executed_runs: int
    skipped_runs: int
    success_rate_percent: float
    skipped_rate_percent: float
    cooldown_blocked_runs: int
    error_runs: int
    consecutive_cooldown_skips: int


class Anomalies(Open):
    """``anomalies``: critical ones first, then by code. ``recommendations``: the first five that differ."""

    generated_at: Time
    window_days: int
    health_status: Literal["healthy", "warning", "critical"]
    anomaly_count: int
    anomalies: list[Anomaly]
    metrics: AnomalyMetrics
    latest_run: PastRun | None
    recommendations: list[str]


def history_rows(history: Json) -> Iterator[Json]:
    """The runs, their lists joined with ``|``."""
    for run in history["items"]:
        yield {name: _joined(value) for name, value in run.items()}


def summary_rows(summary: Json) -> Iterator[Json]:
    """A row for each figure, in the order of the facility system."""
    figures: dict[str, Any] = {
        name: summary[name]
        for name in (
            "generated_at", "window_days", "total_runs", "executed_runs", "skipped_runs", "cooldown_blocked_runs",
            "error_runs", "success_rate_percent", "skipped_rate_percent",
        )
    }  # fmt: skip
    figures |= {f"status_{name}": summary["status_counts"][name] for name in ("success", "warning", "critical")}
    for kind in ("planned", "executed"):
        counts = summary[f"{kind}_action_counts"]
        figures |= {f"{kind}_{action}": counts[action] for action in ("auto_assign", "escalation")}
    if (latest := summary["latest_run"]) is not None:
        figures["latest_run_id"] = latest["run_id"]
        for name in (
            "status", "finished_at", "skipped", "skip_reason", "planned_actions", "actions", "open_items",
            "overdue_count", "unassigned_open_count", "critical_open_count",
        ):  # fmt: skip
            figures[f"latest_run_{name}"] = _joined(latest[name])
    yield from ({"metric": name, "value": value} for name, value in figures.items())


def anomaly_rows(found: Json) -> Iterator[Json]:
    """A row for each anomaly, beside the figures of the window; one row with the code ``none`` if there is none."""
    none = {
        "code": "none", "severity": "info", "message": "Nothing looks wrong.", "observed": None, "target": None,
        "recommendation": "",
    }  # fmt: skip
    for anomaly in found["anomalies"] or [none]:
        yield {**found["metrics"], **found, **anomaly}


def _joined(value: Any) -> Any:
    return "|".join(value) if isinstance(value, list) else value


get_history = Query(
    "tracker.autopilot.history",
    params=HistoryFilter,
    result=History,
    permission="remediation:read",
    http=GET(f"{AUTOPILOT}/history", csv=Csv(history_rows, HISTORY_COLUMNS, f"{FILE}-history")),
    summary="The autopilot's newest runs",
)
get_summary = Query(
    "tracker.autopilot.summary",
    params=SummaryWindow,
    result=Summary,
    permission="remediation:read",
    http=GET(f"{AUTOPILOT}/summary", csv=Csv(summary_rows, ("metric", "value"), f"{FILE}-summary")),
    summary="How often the autopilot ran, what it did, and how often people did what it would have done",
)
get_anomalies = Query(
    "tracker.autopilot.anomalies",
    params=AnomalyWindow,
    result=Anomalies,
    permission="remediation:read",
    http=GET(f"{AUTOPILOT}/anomalies", csv=Csv(anomaly_rows, ANOMALY_COLUMNS, f"{FILE}-anomalies")),
    summary="What looks wrong about the autopilot's runs",
)
