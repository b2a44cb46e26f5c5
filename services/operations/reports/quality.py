"""Quality reports as they are asked for: put together of their parts, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import datetime

from libs.common.cells import cell
from libs.common.contracts.base import Nothing
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.operations import GATE_JOB
from libs.common.contracts.metrics.job_runs import JobRunCounts
from libs.common.contracts.operations import quality as contract
from libs.common.contracts.operations.quality import (
    TEMPLATE,
    JobFigures,
    MonthWanted,
    QualityReport,
    ReportedGates,
    ReportPeriod,
    ReportSummary,
    Window,
)
from libs.common.contracts.operations.streak import QualityStreak
from libs.common.problems import Invalid
from libs.common.service import Read, Table
from services.operations.domain.advice import Figures, advise
from services.operations.domain.periods import Period, last_week, month_of
from services.operations.reports import parts, streak
from services.operations.reports.parts import Parts
from services.operations.reports.words import advice

_KEYS = (
    "job_runs_total", "critical_findings_total", "alert_delivery_total", "alert_delivery_success_rate_percent",
)  # fmt: skip
_JOB_COLUMNS = ("job_name", "total", "success", "warning", "critical", "success_rate_percent")


def period_of(window: Window, month: str | None, now: datetime) -> Period:
    """What a report of this window is about. Raises `Invalid` for a month that can't be reported on."""
    if window == "weekly":
        if month is not None:
            raise Invalid("A weekly report is of the 7 days up to now: leave month away, or ask for window=monthly.")
        return last_week(now)
    try:
        return month_of(now, month)
    except ValueError as error:
        raise Invalid(f"{str(error)[0].upper()}{str(error)[1:]}.") from error


def put_together(window: Window, period: Period, found: Parts, weekly: QualityStreak, now: datetime) -> QualityReport:
    """A report of its parts. What was not read stays null."""
    summary = _summary(found)
    report = QualityReport(
        template_version=TEMPLATE,
        generated_at=now,
        window=window,
        label=period.label,
        period=ReportPeriod(start=period.start, end=period.end, is_over=period.is_over),
        complete=not found.missing,
        parts=list(found.told),
        summary=summary,
        daily_checks=found.daily_checks,
        deliveries=found.deliveries,
        duties=found.duties,
        gates=_gates(found.jobs),
        preflight=found.preflight,
        admin_security=found.security,
        weekly_streak=weekly,
        alert_noise_policy=found.noise,
        recommendations=[],
    )
    return report.model_copy(update={"recommendations": advice(advise(figures_of(report)), "en")})


def percent(part: int, whole: int) -> float | None:
    """``part`` of ``whole``, to two places; None of nothing, and never 100 if anything is missing."""
    if not whole:
        return None
    rounded = round(100 * part / whole, 2)
    return min(rounded, 99.99) if part < whole else rounded


def _summary(found: Parts) -> ReportSummary:
    jobs = None if found.jobs is None else _jobs(found.jobs)
    checks, sent = found.daily_checks, found.deliveries
    total = None if sent is None else sent.delivered_count + sent.failed_count
    return ReportSummary(
        job_count=None if jobs is None else len(jobs),
        job_runs_total=None if jobs is None else sum(one.total for one in jobs),
        # Of no check that could be made nothing is known, which is not that nothing was found.
        critical_findings_total=checks.critical_count if checks and checks.check_count > checks.failed_count else None,
        alert_delivery_total=total,
        alert_delivery_success_rate_percent=percent(sent.delivered_count, total or 0) if sent else None,
        jobs=jobs or [],
    )


def _jobs(found: JobRunCounts) -> list[JobFigures]:
    by_job: dict[str, Counter[str]] = {}
    for one in found.counts:
        by_job.setdefault(one.job_name, Counter())[one.status] += one.run_count
    return [
        JobFigures(
            job_name=name,
            total=counts.total(),
            success_rate_percent=percent(counts["success"], counts.total()),
            **{status: counts[status] for status in ("success", "warning", "critical", "failed")},
        )
        for name, counts in sorted(by_job.items())
    ]


def _gates(found: JobRunCounts | None) -> ReportedGates | None:
    """A gate's run is critical exactly if its verdict is NO-GO."""
    if found is None:
        return None
    runs: Counter[str] = Counter()
    for one in found.counts:
        if one.job_name == GATE_JOB and one.status != "failed":
            runs[one.status] += one.run_count
    no_go = runs["critical"]
    return ReportedGates(run_count=runs.total(), go_count=runs.total() - no_go, no_go_count=no_go)


def figures_of(report: QualityReport) -> Figures:
    """What recommendations are made of."""
    checks, duties, preflight = report.daily_checks, report.duties, report.preflight
    noise = report.alert_noise_policy
    return Figures(
        missing=[one.name for one in report.parts if one.state == "missing"],
        check_count=None if checks is None else checks.check_count,
        failed_check_count=checks.failed_count if checks else 0,
        critical_findings=report.summary.critical_findings_total,
        # A NO-GO is no failure of the job that judged.
        failing_jobs=[
            one.job_name for one in report.summary.jobs if one.failed or (one.critical and one.job_name != GATE_JOB)
        ],
        delivery_success_percent=report.summary.alert_delivery_success_rate_percent,
        critical_duties=duties.critical_open_count if duties else None,
        unassigned_duties=duties.unassigned_open_count if duties else None,
        streak_weeks=report.weekly_streak.current_streak_weeks,
        target_weeks=report.weekly_streak.target_weeks,
        preflight_errors=preflight.error_count if preflight else None,
        noise=noise.status if noise else None,
    )


def sheet(report: QualityReport) -> str:
    """The report as CSV: a key and its value a line, an empty line, then the jobs."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    shown = report.model_dump(mode="json")
    pairs: dict[str, object] = {
        **{name: shown[name] for name in ("template_version", "generated_at", "window", "label")},
        "period_start": shown["period"]["start"],
        "period_end": shown["period"]["end"],
        **{name: shown["summary"][name] for name in _KEYS},
    }
    write.writerow(("key", "value"))
    write.writerows((key, cell(value)) for key, value in pairs.items())
    write.writerow(())
    write.writerow(_JOB_COLUMNS)
    write.writerows([cell(job[name]) for name in _JOB_COLUMNS] for job in shown["summary"]["jobs"])
    return text.getvalue()


def name_of(report: QualityReport, ending: str) -> str:
    """How the file of a report that is only shown is called."""
    of = f"{report.generated_at:%Y%m%dT%H%M%SZ}" if report.window == "weekly" else report.label
    return f"ops-quality-{report.window}-{of}.{ending}"


async def look(read: Read, window: Window, month: str | None = None) -> QualityReport:
    """A report of now that nobody keeps. Raises `Invalid`."""
    period = period_of(window, month, read.now)
    found = await parts.gather(read, read.pool, read.now, period)
    return put_together(window, period, found, await streak.read(read.pool, read.now), read.now)


async def weekly(read: Read, _params: Nothing) -> QualityReport:
    """Of the 7 days up to now."""
    return await look(read, "weekly")


async def monthly(read: Read, wanted: MonthWanted) -> QualityReport:
    """Of a month. Raises `Invalid`."""
    return await look(read, "monthly", wanted.month)


def _csv(report: QualityReport) -> Blob:
    return Blob.of(sheet(report).encode(), media_type="text/csv", filename=name_of(report, "csv"))


async def weekly_csv(read: Read, _params: Nothing) -> Blob:
    """Of the 7 days up to now, as a file."""
    return _csv(await look(read, "weekly"))


async def monthly_csv(read: Read, wanted: MonthWanted) -> Blob:
    """Of a month, as a file. Raises `Invalid`."""
    return _csv(await look(read, "monthly", wanted.month))


TABLE = Table(
    queries={
        contract.weekly_report: weekly,
        contract.weekly_sheet: weekly_csv,
        contract.monthly_report: monthly,
        contract.monthly_sheet: monthly_csv,
    }
)
