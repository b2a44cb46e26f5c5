"""Quality reports, their streak, and DORA's four keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import facts, plain, table
from libs.common.contracts.operations.dora import Dora, DoraEnvironment
from libs.common.contracts.operations.quality import QualityReport, QualityRun
from libs.common.contracts.operations.streak import QualityStreak

NO_DATA = "no data"


def _or_none(value: Any) -> Any:
    return NO_DATA if value is None else value


def report(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The figures, what could not be read, the jobs, and what to do."""
    found: QualityReport = read_as(QualityRun if "run_id" in answer else QualityReport, answer)
    summary, weeks = found.summary, found.weekly_streak
    pairs = [
        ("period", f"{found.period.start:%Y-%m-%d %H:%M} to {found.period.end:%Y-%m-%d %H:%M} UTC"),
        ("job runs", _or_none(summary.job_runs_total)),
        ("critical findings", _or_none(summary.critical_findings_total)),
        ("deliveries", _or_none(summary.alert_delivery_total)),
        ("of these arrived", _percent(summary.alert_delivery_success_rate_percent)),
        ("open items", _or_none(found.duties.open_count if found.duties else None)),
        ("weeks in a row", f"{weeks.current_streak_weeks} of {weeks.target_weeks}"),
    ]
    if isinstance(found, QualityRun):
        kept = found.archive.error or found.archive.json_file or ""
        pairs += [("run", found.run_id), ("counts", "yes" if found.counts_for_streak else "no"), ("archive", kept)]
    unread = [(one.name, one.state, one.reason) for one in found.parts if one.state != "read"]
    jobs = [
        (
            job.job_name,
            job.total,
            job.success,
            job.warning,
            job.critical,
            job.failed,
            _percent(job.success_rate_percent),
        )
        for job in summary.jobs
    ]
    shown: list[RenderableType] = [Text(f"{found.window} report {found.label}"), facts(pairs)]
    if unread:
        shown += [Text(), table(("part", "state", "reason"), unread)]
    columns = ("job", "runs", "success", "warning", "critical", "failed", "success rate")
    shown += [Text(), table(columns, jobs), Text(), *(plain(f"- {one}") for one in found.recommendations)]
    session.emit(answer, *shown)


def _percent(value: float | None) -> str:
    return NO_DATA if value is None else f"{value:g} %"


def streak(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """How many weeks in a row, and each of the newest weeks."""
    found = read_as(QualityStreak, answer)
    grace = ", in its first weeks" if found.bootstrap_grace_active else ""
    said = f"{found.current_streak_weeks} weeks in a row, wanted are {found.target_weeks}{grace}"
    rows = [
        (
            f"{one.week_start:%Y-%m-%d}",
            "yes" if one.counts else "no",
            one.made_at or "",
            _or_none(one.critical_findings_total) if one.counts else "",
        )
        for one in found.weeks
    ]
    session.emit(answer, Text(said), Text(), table(("week of", "counts", "made at", "critical findings"), rows))


def dora(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A line for each environment and key."""
    found = read_as(Dora, answer)
    rows = [row for one in (found.overall, *found.environments) for row in _keys(one)]
    columns = ("environment", "key", "value", "of", "band", "note")
    more = [Text("There were more deployments than are read; the oldest are not counted.")] if found.truncated else []
    session.emit(answer, table(columns, rows), Text(), Text(f"Bands: {found.bands_source}."), *more)


def _keys(found: DoraEnvironment) -> list[tuple[Any, ...]]:
    units = {"per_day": "a day", "hours": "h", "percent": "%"}
    return [
        (
            found.environment or "all",
            key.key.replace("_", " "),
            NO_DATA if key.value is None else f"{key.value:g} {units[key.unit]}",
            key.sample_count,
            key.band or "",
            key.note,
        )
        for key in found.keys
    ]


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    QualityReport: report,
    QualityRun: report,
    QualityStreak: streak,
    Dora: dora,
}
