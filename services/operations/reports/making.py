"""Making a quality report: put together, archived, kept for good, told; by hand, by the clock, and again if need be.

The files are put into the bucket first; the row, the run, the index of the files and what gates are told are one
transaction. Crash anywhere: either all of it is there, or nothing that anybody lists or counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from libs.common import job_runs
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.operations import quality as contract
from libs.common.contracts.operations.quality import (
    MONTHLY_JOB,
    WEEKLY_JOB,
    QualityReport,
    QualityRun,
    ReportArchive,
    ReportMade,
    ReportWanted,
    Window,
)
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from libs.common.settings import Settings
from services.operations import archives
from services.operations.archives import QUALITY, File
from services.operations.domain.periods import Period
from services.operations.domain.streaks import monday
from services.operations.reports import pages, parts, quality, streak
from services.operations.reports.parts import SITE, Parts
from services.operations.reports.streak import Made

JOBS: dict[Window, str] = {"weekly": WEEKLY_JOB, "monthly": MONTHLY_JOB}

INSERT_REPORT = """
INSERT INTO quality_report (run_id, report_window, label, made_at, trigger, status, complete, counts,
    critical_findings, archive_error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
# The clock had a report made this week, or tried to, and none of the week counts.
IS_TO_BE_MADE_UP = """
SELECT EXISTS (
    SELECT FROM job_run WHERE job_name = $1 AND site = $2 AND trigger = 'schedule' AND finished_at >= $3
) AND NOT EXISTS (
    SELECT FROM quality_report WHERE report_window = 'weekly' AND counts AND made_at >= $3
)
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A report to be made: its parts have been read."""

    window: Window
    period: Period
    found: Parts
    sites: Sequence[str]


async def _ask(tx: Tx, window: Window, month: str | None) -> Asked:
    """Ask for all that a report needs, before anything is locked. Raises `Invalid`, `Unavailable`."""
    period = quality.period_of(window, month, tx.now)
    sites = await tx.ask(every_site, Nothing())
    return Asked(window, period, await parts.gather(tx, tx.connection, tx.now, period), sites)


async def _make(settings: Settings, tx: Tx, asked: Asked, trigger: JobTrigger) -> QualityRun:
    await tx.connection.execute(streak.LOCK)
    window, now = asked.window, tx.now
    run_id = await job_runs.next_run_id(tx)
    before = await streak.read(tx.connection, now)
    report = quality.put_together(window, asked.period, asked.found, before, now)
    counts = window == "weekly" and report.complete
    if counts:
        made = Made(monday(now), now, report.summary.critical_findings_total)
        after = await streak.read(tx.connection, now, extra=made)
        report = quality.put_together(window, asked.period, asked.found, after, now)
    archive = ReportArchive(retention_days=settings.quality_report_retention_days)
    done = _run(report, run_id, trigger, archive, counts=counts)
    done = await _archived(tx, done)
    if counts and done.archive.error is not None:  # what nobody can show was not made
        report = quality.put_together(window, asked.period, asked.found, before, now)
        done = _run(report, run_id, trigger, done.archive, counts=False)
    await _keep(tx, done)
    if window == "weekly":
        found = await streak.read(tx.connection, now)
        if await streak.due(tx, found):
            await streak.tell(tx, asked.sites, found)
    return done


def _run(
    report: QualityReport, run_id: int, trigger: JobTrigger, archive: ReportArchive, *, counts: bool
) -> QualityRun:
    is_well = report.complete and archive.error is None and not report.summary.critical_findings_total
    status: JobStatus = "success" if is_well else "warning"
    return QualityRun(
        **dict(report),
        run_id=run_id,
        job_name=JOBS[report.window],
        trigger=trigger,
        status=status,
        started_at=report.generated_at,
        finished_at=report.generated_at,
        counts_for_streak=counts,
        archive=archive,
    )


async def _archived(tx: Tx, done: QualityRun) -> QualityRun:
    """With its files stored; if the bucket can't, the report says so, and no week counts by it."""
    stem = f"ops-quality-report-{done.window}-{done.generated_at:%Y%m%dT%H%M%SZ}"
    names = {"json": f"{stem}.json", "csv": f"{stem}.csv", "html": f"{stem}.html", "html_ko": f"{stem}-ko.html"}
    named = done.archive.model_copy(update={f"{kind}_file": name for kind, name in names.items()})
    kept = done.model_copy(update={"archive": named})
    texts = {
        "json": kept.model_dump_json(indent=1),
        "csv": quality.sheet(kept),
        "html": pages.page(kept, "en"),
        "html_ko": pages.page(kept, "ko"),
    }
    files = [File(kind, names[kind], text.encode()) for kind, text in texts.items()]
    try:
        await archives.store(tx, done.run_id, files, kind=QUALITY)
    except archives.KEPT_BACK as error:
        return done.model_copy(
            update={"archive": done.archive.model_copy(update={"error": archives.reason(error)}), "status": "warning"}
        )
    return kept


async def _keep(tx: Tx, done: QualityRun) -> None:
    findings = done.summary.critical_findings_total
    await tx.connection.execute(
        INSERT_REPORT, done.run_id, done.window, done.label, tx.now, done.trigger, done.status, done.complete,
        done.counts_for_streak, findings, done.archive.error,
    )  # fmt: skip
    detail = done.model_dump(mode="json", exclude={"run_id", "job_name", "trigger", "status"})
    await job_runs.record(tx, done.job_name, JobDone(done.status, detail), trigger=done.trigger, run_id=done.run_id)
    told = ReportMade(
        run_id=done.run_id,
        window=done.window,
        label=done.label,
        status=done.status,
        complete=done.complete,
        counts_for_streak=done.counts_for_streak,
        missing_parts=[one.name for one in done.parts if one.state == "missing"],
        critical_findings_total=findings,
        current_streak_weeks=done.weekly_streak.current_streak_weeks,
        target_weeks=done.weekly_streak.target_weeks,
    )
    tx.emit(contract.report_made, told, subject=str(done.run_id), site=SITE)


async def run_by_hand(settings: Settings, tx: Tx, wanted: ReportWanted) -> QualityRun:
    """A report that a person asks for. Raises `Invalid`."""
    return await _make(settings, tx, await _ask(tx, wanted.window, wanted.month), "api")


async def run_by_clock(settings: Settings, window: Window, tx: Tx) -> None:
    """The weekly one, or that of the month before."""
    await _make(settings, tx, await _ask(tx, window, None), "schedule")


async def watch(settings: Settings, tx: Tx) -> JobDone | None:
    """Make up the week's report that a service's silence spoilt, and tell gates what the passing of time changed."""
    week = monday(tx.now)
    made = None
    if await tx.connection.fetchval(IS_TO_BE_MADE_UP, WEEKLY_JOB, SITE, week):
        asked = await _ask(tx, "weekly", None)
        if not asked.found.missing:  # else nothing is there yet that the first try had not
            made = await _make(settings, tx, asked, "schedule")
            return JobDone(detail={"made_up_run": made.run_id})
    await tx.connection.execute(streak.LOCK)
    found = await streak.read(tx.connection, tx.now)
    if not await streak.due(tx, found):
        return None
    sites = await tx.ask(every_site, Nothing())
    await streak.tell(tx, sites, found)
    return JobDone(detail={"told_site_count": len(sites), **streak.figures(found)})


def table(settings: Settings) -> Table:
    """What this module answers; it goes by the setting of how long archives are kept."""
    weekly, monthly = (partial(run_by_clock, settings, window) for window in ("weekly", "monthly"))
    return Table(
        commands={contract.run_report: partial(run_by_hand, settings)},
        jobs=(
            Job(WEEKLY_JOB, Schedule("40 23 * * 5"), weekly, keeps_record=True),
            Job(MONTHLY_JOB, Schedule("20 0 1 * *"), monthly, keeps_record=True),
            Job("quality_watch", Schedule("5 * * * *"), partial(watch, settings), looks=True),
        ),
    )
