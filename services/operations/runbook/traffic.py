"""Checks of what goes through: services, queues, streams, jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from libs.common.contracts.jobs import JobState
from libs.common.contracts.preflight import Overall
from libs.common.contracts.vitals import Vitals
from libs.common.schedules import Schedule
from services.operations.runbook.found import Check, Found, age_text, some, worst
from services.operations.runbook.readings import Readings

MANY_WAITING, TOO_MANY_WAITING = 1_000, 10_000
PENDING_WARNING, PENDING_CRITICAL = timedelta(minutes=5), timedelta(minutes=30)
OUTBOX_WARNING, OUTBOX_CRITICAL = timedelta(minutes=1), timedelta(minutes=10)
INBOX_KEPT = timedelta(days=31)
FULL_WARNING, FULL_CRITICAL = 80.0, 95.0
JOB_LATE = timedelta(minutes=10)


def startup_preflight(at: Readings) -> Found:
    """The preflight of all services."""
    found = at.of("preflight")
    bad = [f"{one.service}: {one.message}" for one in found.checks if one.status != "ok"]
    figures = {"error_count": found.error_count, "warning_count": found.warning_count}
    return found.overall_status, some(bad[:3]) or f"{found.check_count} checks are ok", figures


def services_answering(at: Readings) -> Found:
    """Who says nothing."""
    told, silent = at.of("vitals")
    if silent:
        return "critical", some([f"{name}: {reason}" for name, reason in silent.items()]), {"silent": sorted(silent)}
    return "ok", f"{len(told)} services answer", {"silent": []}


def _vitals(at: Readings) -> Mapping[str, Vitals]:
    told, _ = at.of("vitals")
    found: Mapping[str, Vitals] = told
    return found


def dead_letters_held(at: Readings) -> Found:
    """What nobody has decided about."""
    held = {name: one.dead_letter_count for name, one in _vitals(at).items() if one.dead_letter_count}
    figures = {"held_count": sum(held.values()), "services": held}
    if not held:
        return "ok", "none is held", figures
    return "critical", some([f"{name} holds {count}" for name, count in held.items()]), figures


def consumer_lag(at: Readings) -> Found:
    """How many messages wait on a durable."""
    waiting = [(d.pending_count + d.unacked_count, d.durable) for one in _vitals(at).values() for d in one.durables]
    status, named = worst(waiting, MANY_WAITING, TOO_MANY_WAITING)
    most = max(waiting, default=(0, ""))[0]
    return status, f"up to {most} messages wait" + (f" for {some(named)}" if named else ""), {"waiting_count": most}


def oldest_pending(at: Readings) -> Found:
    """Since when a message waits."""
    waiting = [(at.now - one.oldest_at, f"{one.service} ({one.stream})") for one in at.of("backlogs")]
    status, named = worst(waiting, PENDING_WARNING, PENDING_CRITICAL)
    oldest = max((age for age, _ in waiting), default=timedelta())
    text = f"the oldest waits since {age_text(oldest)}" + (f", for {some(named)}" if named else "")
    return status, text if waiting else "nothing waits", {"oldest_age_s": round(oldest.total_seconds(), 1)}


def outbox_age(at: Readings) -> Found:
    """Since when a message is not sent."""
    unsent = [(at.now - one.outbox_oldest_at, name) for name, one in _vitals(at).items() if one.outbox_oldest_at]
    status, named = worst(unsent, OUTBOX_WARNING, OUTBOX_CRITICAL)
    oldest = max((age for age, _ in unsent), default=timedelta())
    text = f"the oldest waits since {age_text(oldest)}" + (f", at {some(named)}" if named else "")
    return status, text if unsent else "all is sent", {"oldest_age_s": round(max(oldest.total_seconds(), 0.0), 1)}


def inbox_growth(at: Readings) -> Found:
    """Whether ids go when their time is over."""
    old = [
        name for name, one in _vitals(at).items() if one.inbox_oldest_at and at.now - one.inbox_oldest_at > INBOX_KEPT
    ]
    if old:
        return "warning", f"ids older than {INBOX_KEPT.days} days are still kept by {some(old)}", {"services": old}
    return "ok", "ids go after 30 days", {"services": []}


def stream_fill(at: Readings) -> Found:
    """How full streams are that refuse when full."""
    seen = {s.stream: s for one in _vitals(at).values() for s in one.streams if s.refuses_when_full and s.max_bytes}
    fill = [(round(one.byte_count * 100 / one.max_bytes, 1), name) for name, one in seen.items()]
    status, named = worst(fill, FULL_WARNING, FULL_CRITICAL)
    text = some([f"{name} is {percent} % full" for percent, name in sorted(fill, reverse=True) if name in named])
    fullest = max(fill, default=(0.0, ""))
    return status, text or f"the fullest is {fullest[1]} with {fullest[0]} %", {"percent": {n: p for p, n in fill}}


def job_runs(at: Readings) -> Found:
    """Jobs that failed, and such that did not run although they always do."""
    told, _ = at.of("jobs")
    started: Mapping[str, datetime] = at.of("started")
    every: list[JobState] = [job for jobs in told.values() for job in jobs]
    failed = [f"{job.service}.{job.job_name}" for job in every if job.last_status == "failed"]
    late = [f"{job.service}.{job.job_name}" for job in every if _is_late(job, started.get(job.service), at.now)]
    parts = [f"failed: {some(failed)}"] if failed else []
    parts += [f"late: {some(late)}"] if late else []
    figures = {"job_count": len(every), "failed": failed, "late": late}
    return "warning" if parts else "ok", "; ".join(parts) or f"{len(every)} jobs are in order", figures


def _is_late(job: JobState, started: datetime | None, now: datetime) -> bool:
    """Whether the last instant that is long enough ago has left no run. None is missed from before the start."""
    if not job.runs_always or job.cron is None or job.next_at is None:
        return False
    due = Schedule(job.cron, job.zone or "UTC").latest(now - JOB_LATE)
    since = job.last_finished_at or started
    if since is None or (started is not None and due <= started):
        return False
    return since < due - timedelta(minutes=1)


def escalation_on_time(at: Readings) -> Found:
    """The tracker's own word."""
    told, silent = at.of("jobs")
    if "tracker" in silent:
        raise LookupError(silent["tracker"])
    found = next((job for job in told["tracker"] if job.job_name == "escalation_check"), None)
    if found is None or found.last_status is None:
        return "ok", "no escalation has been looked at yet", {"last_status": None}
    word: Overall = {"success": "ok", "warning": "warning"}.get(found.last_status, "critical")  # type: ignore[assignment]
    return word, f"its last check ended as {found.last_status}", {"last_status": found.last_status}


CHECKS: tuple[Check, ...] = (
    startup_preflight,
    services_answering,
    dead_letters_held,
    consumer_lag,
    oldest_pending,
    outbox_age,
    inbox_growth,
    stream_fill,
    job_runs,
    escalation_on_time,
)
