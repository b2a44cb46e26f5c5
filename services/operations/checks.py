"""The runbook's checks: each a pure function of what was read, ending in a word, a sentence and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from libs.common.contracts.jobs import JobState
from libs.common.contracts.metrics.latency import WATCHING
from libs.common.contracts.operations.runbook import CATALOGUE, Runbook, RunbookCheck
from libs.common.contracts.preflight import Overall
from libs.common.contracts.vitals import Vitals
from libs.common.schedules import Schedule
from libs.common.telemetry import log
from services.operations.readings import Readings

MANY_WAITING, TOO_MANY_WAITING = 1_000, 10_000
PENDING_WARNING, PENDING_CRITICAL = timedelta(minutes=5), timedelta(minutes=30)
OUTBOX_WARNING, OUTBOX_CRITICAL = timedelta(minutes=1), timedelta(minutes=10)
INBOX_KEPT = timedelta(days=31)
FULL_WARNING, FULL_CRITICAL = 80.0, 95.0
JOB_LATE = timedelta(minutes=10)
HEAD_OLD = timedelta(hours=26)

Found = tuple[Overall, str, dict[str, Any]]
Check = Callable[[Readings], Found]


def _worst(pairs: Iterable[tuple[Any, str]], warning: Any, critical: Any) -> tuple[Overall, list[str]]:
    """The word for the largest of (value, what it is of), and the names of those at or above the warning."""
    found = sorted(pairs, key=lambda pair: pair[0], reverse=True)
    named = [name for value, name in found if value >= warning]
    if not named:
        return "ok", []
    return ("critical" if found[0][0] >= critical else "warning"), named


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _age(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def startup_preflight(at: Readings) -> Found:
    """The preflight of all services."""
    found = at.of("preflight")
    bad = [f"{one.service}: {one.message}" for one in found.checks if one.status != "ok"]
    figures = {"error_count": found.error_count, "warning_count": found.warning_count}
    return found.overall_status, _some(bad[:3]) or f"{found.check_count} checks are ok", figures


def services_answering(at: Readings) -> Found:
    """Who says nothing."""
    told, silent = at.of("vitals")
    if silent:
        return "critical", _some([f"{name}: {reason}" for name, reason in silent.items()]), {"silent": sorted(silent)}
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
    return "critical", _some([f"{name} holds {count}" for name, count in held.items()]), figures


def consumer_lag(at: Readings) -> Found:
    """How many messages wait on a durable."""
    waiting = [(d.pending_count + d.unacked_count, d.durable) for one in _vitals(at).values() for d in one.durables]
    status, named = _worst(waiting, MANY_WAITING, TOO_MANY_WAITING)
    most = max(waiting, default=(0, ""))[0]
    return status, f"up to {most} messages wait" + (f" for {_some(named)}" if named else ""), {"waiting_count": most}


def oldest_pending(at: Readings) -> Found:
    """Since when a message waits."""
    waiting = [(at.now - one.oldest_at, f"{one.service} ({one.stream})") for one in at.of("backlogs")]
    status, named = _worst(waiting, PENDING_WARNING, PENDING_CRITICAL)
    oldest = max((age for age, _ in waiting), default=timedelta())
    text = f"the oldest waits since {_age(oldest)}" + (f", for {_some(named)}" if named else "")
    return status, text if waiting else "nothing waits", {"oldest_age_s": round(oldest.total_seconds(), 1)}


def outbox_age(at: Readings) -> Found:
    """Since when a message is not sent."""
    unsent = [(at.now - one.outbox_oldest_at, name) for name, one in _vitals(at).items() if one.outbox_oldest_at]
    status, named = _worst(unsent, OUTBOX_WARNING, OUTBOX_CRITICAL)
    oldest = max((age for age, _ in unsent), default=timedelta())
    text = f"the oldest waits since {_age(oldest)}" + (f", at {_some(named)}" if named else "")
    return status, text if unsent else "all is sent", {"oldest_age_s": round(max(oldest.total_seconds(), 0.0), 1)}


def inbox_growth(at: Readings) -> Found:
    """Whether ids go when their time is over."""
    old = [
        name for name, one in _vitals(at).items() if one.inbox_oldest_at and at.now - one.inbox_oldest_at > INBOX_KEPT
    ]
    if old:
        return "warning", f"ids older than {INBOX_KEPT.days} days are still kept by {_some(old)}", {"services": old}
    return "ok", "ids go after 30 days", {"services": []}


def stream_fill(at: Readings) -> Found:
    """How full streams are that refuse when full."""
    seen = {s.stream: s for one in _vitals(at).values() for s in one.streams if s.refuses_when_full and s.max_bytes}
    fill = [(round(one.byte_count * 100 / one.max_bytes, 1), name) for name, one in seen.items()]
    status, named = _worst(fill, FULL_WARNING, FULL_CRITICAL)
    text = _some([f"{name} is {percent} % full" for percent, name in sorted(fill, reverse=True) if name in named])
    fullest = max(fill, default=(0.0, ""))
    return status, text or f"the fullest is {fullest[1]} with {fullest[0]} %", {"percent": {n: p for p, n in fill}}


def job_runs(at: Readings) -> Found:
    """Jobs that failed, and such that did not run although they always do."""
    told, _ = at.of("jobs")
    started: Mapping[str, datetime] = at.of("started")
    every: list[JobState] = [job for jobs in told.values() for job in jobs]
    failed = [f"{job.service}.{job.job_name}" for job in every if job.last_status == "failed"]
    late = [f"{job.service}.{job.job_name}" for job in every if _is_late(job, started.get(job.service), at.now)]
    parts = [f"failed: {_some(failed)}"] if failed else []
    parts += [f"late: {_some(late)}"] if late else []
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


def audit_chain_integrity(at: Readings) -> Found:
    """The end of the log, recomputed."""
    try:
        found = at.of("chain")
    except LookupError as error:
        if "is running already" in str(error):
            return "warning", "another verification is running; look again in a moment", {}
        raise
    figures = {"head_seq": found.head_seq, "head_hash": found.head_hash, "checked_count": found.checked_count}
    if not found.valid:
        return "critical", found.problem or "the chain does not hold", {**figures, "first_bad_seq": found.first_bad_seq}
    return "ok", f"the newest {found.checked_count} links hold, up to {found.head_seq}", figures


def audit_head_recent(at: Readings) -> Found:
    """How old the newest entry is."""
    head = at.of("head")
    if head.recorded_at is None:
        return "warning", "the log is empty", {"seq": 0}
    age = at.now - head.recorded_at
    text = f"the newest entry is {_age(max(age, timedelta()))} old"
    return "warning" if age > HEAD_OLD else "ok", text, {"seq": head.seq, "age_s": round(age.total_seconds(), 1)}


def api_latency_p95(at: Readings) -> Found:
    """The worst route of the last hour."""
    endpoints = [one for one in at.of("latency").endpoints if one.route not in WATCHING]
    bad = [one for one in endpoints if one.status in ("warning", "critical")]
    word: Overall = "critical" if any(one.status == "critical" for one in bad) else "warning" if bad else "ok"
    slowest = max((one.p95_ms for one in endpoints if one.p95_ms is not None), default=None)
    text = _some([f"{one.endpoint_key} p95 {one.p95_ms:.0f} ms" for one in bad if one.p95_ms is not None])
    return word, text or f"{len(endpoints)} routes are quick enough", {"slowest_p95_ms": slowest}


def api_burn_rate(at: Readings) -> Found:
    """How fast the budget is spent."""
    burn = at.of("latency").burn_rate
    figures = {"short": burn.short_burn_rate, "long": burn.long_burn_rate}
    return "ok" if burn.status == "no_data" else burn.status, burn.message, figures


def token_expiry_pressure(at: Readings) -> Found:
    """Tokens that stop working soon."""
    found = at.of("tokens")
    figures = {"expiring_count": found.expiring_count, "live_count": found.live_count, "token_ids": found.token_ids}
    if not found.expiring_count:
        return "ok", f"none of {found.live_count} live tokens stops working within 3 days", figures
    numbers = _some([str(number) for number in found.token_ids])
    return "warning", f"{found.expiring_count} of {found.live_count} stop working within 3 days: {numbers}", figures


def ops_daily_check_archive(at: Readings) -> Found:
    """What the newest daily check left in the store."""
    files: Mapping[str, str] = at.of("archive")
    if not files:
        return "warning", "no daily check is archived yet", {"files": []}
    bad = [f"{name} {state}" for name, state in files.items() if state != "ok"]
    return (
        "critical" if bad else "ok",
        _some(bad) or f"{_some(sorted(files))} lie there whole",
        {"files": sorted(files)},
    )


CHECKS: Mapping[str, Check] = {
    one.__name__: one
    for one in (
        startup_preflight, services_answering, dead_letters_held, consumer_lag, oldest_pending, outbox_age,
        inbox_growth, stream_fill, job_runs, escalation_on_time, audit_chain_integrity, audit_head_recent,
        api_latency_p95, api_burn_rate, token_expiry_pressure, ops_daily_check_archive,
    )
}  # fmt: skip


def judged(at: Readings) -> Runbook:
    """Every check of the catalogue: one that can't be made is critical with the reason, and none is missing."""
    checks = []
    for watched in CATALOGUE:
        try:
            status, message, detail = CHECKS[watched.id](at)
        except Exception as error:
            if not isinstance(error, LookupError):
                log.exception("runbook check failed", check=watched.id)
            status, message, detail = "critical", f"could not be made: {str(error) or type(error).__name__}", {}
        checks.append(RunbookCheck(id=watched.id, status=status, message=message, action=watched.action, detail=detail))
    warnings, criticals = (sum(one.status == word for one in checks) for word in ("warning", "critical"))
    return Runbook(
        generated_at=at.now,
        overall_status="critical" if criticals else "warning" if warnings else "ok",
        check_count=len(checks),
        warning_count=warnings,
        critical_count=criticals,
        checks=checks,
    )
