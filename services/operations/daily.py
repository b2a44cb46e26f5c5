"""The daily check: makes the runbook, tells the gates of every site, raises an alert if it is bad, keeps the files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Literal

import asyncpg

from libs.common import job_runs
from libs.common.contracts.base import Nothing
from libs.common.contracts.blobs import Blob
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.operations import daily as contract
from libs.common.contracts.operations.daily import (
    JOB,
    AlertRaised,
    Archive,
    ArchiveFilter,
    ArchiveList,
    ArchiveRow,
    CheckedAlert,
    DailyCheck,
    LatestWanted,
)
from libs.common.contracts.operations.preflight import Preflight
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.common.settings import Settings
from services.operations import alerts, archives
from services.operations.archives import File
from services.operations.deployments import telling
from services.operations.domain.alerting import Word
from services.operations.runbook.judging import judged
from services.operations.runbook.readings import Desk, Unread

SITE = "global"  # where its runs are kept: it is about the installation
SOURCE = "/headgate/operations"
STATUS: dict[str, JobStatus] = {"ok": "success", "warning": "warning", "critical": "critical"}
Level = Literal["off", "critical", "warning", "always"]
REACHED: dict[Level, tuple[str, ...]] = {
    "off": (),
    "critical": ("critical",),
    "warning": ("critical", "warning"),
    "always": ("critical", "warning", "ok"),
}
LIST_RUNS = """
SELECT run_id, trigger, status, finished_at, detail FROM job_run WHERE job_name = $1 AND site = $2
ORDER BY finished_at DESC, run_id DESC LIMIT $3
"""
_RUN_COLUMNS = (
    "run_id", "checked_at", "trigger", "status", "overall_status", "check_count", "warning_count", "critical_count",
)  # fmt: skip
_ALERT_COLUMNS = ("alert_level", "alert_attempted", "alert_dispatched", "alert_error")


async def check(settings: Settings, tx: Tx, trigger: JobTrigger) -> DailyCheck:
    """Make the check, once; the run, what is told and the index of the files are one transaction."""
    readings = await Desk(settings, tx, tx.connection, tx.now).read()
    found = judged(readings)
    sites = await tx.ask(every_site, Nothing())
    run_id = await job_runs.next_run_id(tx)
    status, level = STATUS[found.overall_status], settings.daily_check_alert_level
    done = DailyCheck(
        job_name=JOB,
        run_id=run_id,
        checked_at=tx.now,
        trigger=trigger,
        status=status,
        site_count=len(sites),
        alert=CheckedAlert(level=level, attempted=found.overall_status in REACHED[level]),
        archive=Archive(retention_days=settings.check_retention_days),
        **found.model_dump(exclude={"generated_at"}),
    )
    done = await _archived(tx, done)
    await tx.connection.execute(telling.LOCK)
    await telling.tell(settings, tx, sites)
    preflight = readings.found["preflight"]
    for site in sites:
        tx.send(record_signals, _signals(done, None if isinstance(preflight, Unread) else preflight), site=site)
    if done.alert.attempted:
        raised = AlertRaised(
            problems=[one for one in done.checks if one.status != "ok"], **done.model_dump(include=_RAISED)
        )
        event_id = tx.emit(contract.alert_raised, raised, subject=str(run_id), site=SITE)
        await alerts.follow(tx.connection, run_id, event_id, tx.now)
    detail = done.model_dump(mode="json", exclude={"run_id", "job_name", "trigger", "status"})
    await job_runs.record(tx, JOB, JobDone(status, detail), trigger=trigger, run_id=run_id)
    return done


_RAISED = {"run_id", "checked_at", "overall_status", "warning_count", "critical_count"}


def _signals(done: DailyCheck, preflight: Preflight | None) -> SignalRecord:
    """What the gates judge. A preflight that could not be read counts as one error: it is not in order."""
    data = {
        "ops.preflight": {
            "overall_status": preflight.overall_status if preflight else "critical",
            "error_count": preflight.error_count if preflight else 1,
            "warning_count": preflight.warning_count if preflight else 0,
        },
        "ops.runbook": {
            "overall_status": done.overall_status,
            "critical_count": done.critical_count,
            "check_count": done.check_count,
        },
        "ops.daily_check": {"latest_run_at": done.checked_at.isoformat(), "latest_status": done.status},
    }
    return SignalRecord(
        signals=[
            OutsideEvent(id=f"{done.run_id}-{kind}", source=SOURCE, type=kind, time=done.checked_at, data=one)
            for kind, one in data.items()
        ]
    )


async def _archived(tx: Tx, done: DailyCheck) -> DailyCheck:
    """With its files stored; if the bucket can't, the check still counts and says so."""
    stem = f"ops-daily-check-{done.checked_at:%Y%m%dT%H%M%SZ}-run-{done.run_id}"
    named = done.archive.model_copy(update={"json_file": f"{stem}.json", "csv_file": f"{stem}.csv"})
    kept = done.model_copy(update={"archive": named})
    content = kept.model_dump_json(indent=1, exclude={"archive": {"json_sha256", "csv_sha256"}}).encode()
    files = (File("json", f"{stem}.json", content), File("csv", f"{stem}.csv", sheet(kept).encode()))
    try:
        await archives.store(tx, done.run_id, files)
    except archives.KEPT_BACK as error:
        said = archives.reason(error)
        return done.model_copy(update={"archive": done.archive.model_copy(update={"error": said})})
    sums = {"json_sha256": files[0].sha256, "csv_sha256": files[1].sha256}
    return kept.model_copy(update={"archive": named.model_copy(update=sums)})


def sheet(done: DailyCheck) -> str:
    """The run as CSV: a head and a row, an empty line, then the checks."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow((*_RUN_COLUMNS, *_ALERT_COLUMNS))
    alert = (done.alert.level, done.alert.attempted, done.alert.dispatched, done.alert.error)
    shown = done.model_dump(mode="json")
    write.writerow((*(shown[name] for name in _RUN_COLUMNS), *("" if one is None else one for one in alert)))
    write.writerow(())
    write.writerow(("check_id", "check_status", "check_message"))
    write.writerows((one.id, one.status, one.message) for one in done.checks)
    return text.getvalue()


async def run_by_hand(settings: Settings, tx: Tx, _body: Nothing) -> DailyCheck:
    """A check that a person asks for."""
    return await check(settings, tx, "api")


async def run_by_clock(settings: Settings, tx: Tx) -> None:
    """The daily one."""
    await check(settings, tx, "schedule")


async def _newest(read: Read) -> DailyCheck:
    run = await job_runs.latest(read.pool, SITE, JOB)
    if run is None:
        raise NotFound("There was no daily check yet; make one with POST /api/ops/runbook/checks/run.")
    if run.status == "failed":
        raise NotFound(f"The newest daily check failed: {run.detail.get('reason')}")
    done = DailyCheck.model_validate(job_runs.envelope(run))
    alert = (await alerts.kept(read.pool, [done.run_id])).get(done.run_id)
    return done if alert is None else _followed(done, await alerts.word_on(read, alert, read.now))


def _followed(done: DailyCheck, word: Word) -> DailyCheck:
    """With what became of its alert: one that reached nobody makes a good check a warning."""
    told = done.alert.model_copy(update={"dispatched": word.dispatched, "error": word.error})
    status = "warning" if word.error and done.status == "success" else done.status
    return done.model_copy(update={"alert": told, "status": status})


async def latest(read: Read, wanted: LatestWanted) -> DailyCheck:
    """The newest, also without its checks. Raises `NotFound`."""
    found = await _newest(read)
    return found if wanted.include_checks else found.model_copy(update={"checks": []})


async def summary(read: Read, _params: Nothing) -> DailyCheck:
    """The newest. Raises `NotFound`."""
    return await _newest(read)


async def summary_csv(read: Read, _params: Nothing) -> Blob:
    """The newest as a file. Raises `NotFound`."""
    found = await _newest(read)
    name = f"ops-daily-check-summary-{found.checked_at:%Y%m%dT%H%M%SZ}.csv"
    return Blob.of(sheet(found).encode(), media_type="text/csv", filename=name)


async def list_archives(read: Read, wanted: ArchiveFilter) -> ArchiveList:
    """Runs whose files lie in the store, or that say why there are none."""
    runs = await read.pool.fetch(LIST_RUNS, JOB, SITE, wanted.limit)
    stored = await archives.of_runs(read.pool, [run["run_id"] for run in runs])
    followed = await alerts.kept(read.pool, [run["run_id"] for run in runs])
    rows = [
        _row(run, stored.get(run["run_id"], {}), followed.get(run["run_id"]))
        for run in runs
        if run["status"] != "failed"
    ]
    shown = [row for row in rows if row.archive_json_file or row.archive_csv_file or row.archive_error]
    return ArchiveList(job_name=JOB, count=len(shown), rows=shown)


def _row(run: asyncpg.Record, files: dict[str, tuple[str, str]], alert: alerts.Followed | None) -> ArchiveRow:
    detail, finished_at = run["detail"], run["finished_at"]
    assert isinstance(finished_at, datetime)  # noqa: S101 - a column of that type
    nothing: Sequence[None] = (None, None)
    json_file, json_sha256 = files.get("json", nothing)
    csv_file, csv_sha256 = files.get("csv", nothing)
    return ArchiveRow(
        run_id=run["run_id"],
        finished_at=finished_at,
        trigger=run["trigger"],
        status=run["status"],
        overall_status=detail["overall_status"],
        check_count=detail["check_count"],
        warning_count=detail["warning_count"],
        critical_count=detail["critical_count"],
        alert_level=detail["alert"]["level"],
        alert_attempted=detail["alert"]["attempted"],
        alert_dispatched=alert.dispatched if alert else None,
        archive_json_file=json_file,
        archive_json_sha256=json_sha256,
        archive_csv_file=csv_file,
        archive_csv_sha256=csv_sha256,
        archive_error=detail["archive"]["error"],
    )


def table(settings: Settings) -> Table:
    """What this module answers; it goes by the settings of alerts and retention."""
    return Table(
        commands={contract.run_check: partial(run_by_hand, settings)},
        queries={
            contract.latest_check: latest,
            contract.latest_summary: summary,
            contract.latest_csv: summary_csv,
            contract.list_archives: list_archives,
        },
        jobs=(Job(JOB, Schedule("15 0 * * *"), partial(run_by_clock, settings), keeps_record=True),),
    )
