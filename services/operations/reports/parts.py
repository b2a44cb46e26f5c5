"""What a quality report is made of: asked of other services at the same time, or the reason why it could not be read.

What is not there is never a number: a part that was not read is None in the report and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.metrics.job_runs import JobRunCounts, JobRunWindow, count_job_runs
from libs.common.contracts.notifier.alerts import DeliveryDays, DeliverySums, sum_deliveries
from libs.common.contracts.notifier.noise import NoiseReview, review_noise
from libs.common.contracts.operations.daily import JOB as DAILY_JOB
from libs.common.contracts.operations.quality import (
    MAX_CHECKS,
    ReportedCheck,
    ReportedChecks,
    ReportedDeliveries,
    ReportedDuties,
    ReportedNoise,
    ReportedPreflight,
    ReportedSecurity,
    ReportPart,
)
from libs.common.contracts.tracker.kpi import Duties, count_duties
from libs.common.problems import Refusal
from libs.common.service import Connection
from libs.common.telemetry import log
from services.operations import preflight
from services.operations.asked import ANSWER_S, Asks
from services.operations.domain.periods import Period

SITE = "global"  # where runs about the installation are kept
OWN_RUNS_KEPT = timedelta(days=400)
NO_RISK = ReportPart(name="admin_security", state="absent", reason="nobody has looked at the security of this site yet")

LIST_CHECKS = """
SELECT run_id, finished_at, status, (detail ->> 'critical_count')::bigint AS critical_count,
    (detail ->> 'warning_count')::bigint AS warning_count, count(*) OVER () AS check_count,
    count(*) FILTER (WHERE status = 'failed') OVER () AS failed_count,
    coalesce(sum((detail ->> 'critical_count')::bigint) OVER (), 0)::bigint AS critical_total,
    coalesce(sum((detail ->> 'warning_count')::bigint) OVER (), 0)::bigint AS warning_total
FROM job_run WHERE job_name = $1 AND site = $2 AND finished_at >= $3 AND finished_at < $4
ORDER BY finished_at DESC, run_id DESC LIMIT $5
"""
# What gates were told last, and the worst day of a period.
SELECT_RISK = """
SELECT level, score, told_at,
    (SELECT max(score) FROM security_day WHERE site = $1 AND day >= $2 AND day <= $3 AND known) AS worst_score
FROM security_told WHERE site = $1
"""


class Missing(Exception):
    """A part can't be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What was read at one moment; None for what was not. ``told`` says of each part how that went."""

    jobs: JobRunCounts | None
    daily_checks: ReportedChecks | None
    deliveries: ReportedDeliveries | None
    duties: ReportedDuties | None
    noise: ReportedNoise | None
    preflight: ReportedPreflight | None
    security: ReportedSecurity | None
    told: Sequence[ReportPart]

    @property
    def missing(self) -> list[str]:
        """Those that could not be read."""
        return [one.name for one in self.told if one.state == "missing"]


async def gather(asker: Asks, source: asyncpg.Pool | Connection, now: datetime, period: Period) -> Parts:
    """Every part of a period; raises nothing that another service or the own database does."""
    own = asyncio.Lock()  # of a transaction one statement runs at a time

    async def of_own(read: Callable[..., Awaitable[Any]], *values: Any) -> Any:
        async with own:
            return await read(source, *values)

    reading: dict[str, Awaitable[Any]] = {
        "jobs": _jobs(asker, period),
        "daily_checks": of_own(_daily_checks, now, period),
        "deliveries": _deliveries(asker, period),
        "duties": _duties(asker),
        "alert_noise_policy": _noise(asker),
        "preflight": of_own(_preflight, now),
        "admin_security": of_own(_security, period),
    }
    values = await asyncio.gather(*(_read(name, one) for name, one in reading.items()))
    found: Mapping[str, Any] = dict(zip(reading, values, strict=True))
    told = [_told(name, value) for name, value in found.items()]
    held = {name: None if isinstance(value, Missing) else value for name, value in found.items()}
    security = held.pop("admin_security")
    return Parts(noise=held.pop("alert_noise_policy"), security=security, **held, told=told)


async def _read(name: str, source: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(ANSWER_S + 1.0):
            return await source
    except Missing as missing:
        return missing
    except TimeoutError:
        return Missing(f"no answer within {ANSWER_S + 1.0:g} s")
    except Refusal as refusal:
        return Missing(refusal.detail)
    except Exception as error:
        if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
            raise  # the transaction is lost with it
        log.warning("a report can't read a part", part=name, error=repr(error))
        return Missing(str(error) or type(error).__name__)


def _told(name: str, value: Any) -> ReportPart:
    if name == NO_RISK.name and value is None:
        return NO_RISK
    if isinstance(value, Missing):
        return ReportPart(name=name, state="missing", reason=str(value))
    reason = _empty(value)
    return ReportPart(name=name, state="empty" if reason else "read", reason=reason)


def _empty(value: Any) -> str:
    """Why there is nothing to count, or nothing."""
    match value:
        case JobRunCounts():
            return "" if value.counts else "no job ran"
        case ReportedChecks():
            return "" if value.check_count else "no daily check was made"
        case ReportedDeliveries():
            return "" if value.delivered_count + value.failed_count else "nothing was sent to anybody"
        case ReportedNoise(status="no_data"):
            return value.message
    return ""


async def _jobs(asker: Asks, period: Period) -> JobRunCounts:
    wanted = JobRunWindow(since=period.since, until=period.until)
    found: JobRunCounts = await asker.ask(count_job_runs, wanted, timeout_s=ANSWER_S)
    if period.since < found.kept_since:
        raise Missing(f"runs of before {found.kept_since:%Y-%m-%d} are not kept any more; look for an archived report")
    return found


async def _deliveries(asker: Asks, period: Period) -> ReportedDeliveries:
    first, last = period.days
    found: DeliverySums = await asker.ask(
        sum_deliveries, DeliveryDays(first_day=first, last_day=last), timeout_s=ANSWER_S
    )
    if first < found.kept_since:
        raise Missing(f"sums of before {found.kept_since} are not kept any more; look for an archived report")
    return ReportedDeliveries(
        first_day=first, last_day=last, delivered_count=found.delivered_count, failed_count=found.failed_count
    )


async def _duties(asker: Asks) -> ReportedDuties:
    found: Duties = await asker.ask(count_duties, Nothing(), timeout_s=ANSWER_S)
    return ReportedDuties(**found.model_dump())


async def _noise(asker: Asks) -> ReportedNoise:
    found: NoiseReview = await asker.ask(review_noise, Nothing(), timeout_s=ANSWER_S)
    window = found.window.model_dump(
        include={"reviewed_count", "false_positive_rate_percent", "false_negative_rate_percent"}
    )
    return ReportedNoise(status=found.status, message=found.message, window_days=found.window_days, **window)


async def _daily_checks(source: asyncpg.Pool | Connection, now: datetime, period: Period) -> ReportedChecks:
    if period.since < now - OWN_RUNS_KEPT:
        raise Missing("daily checks are kept for 400 days; look for an archived report")
    rows = await source.fetch(LIST_CHECKS, DAILY_JOB, SITE, period.since, period.until, MAX_CHECKS)
    first: Mapping[str, int] = dict(rows[0]) if rows else {}
    return ReportedChecks(
        check_count=first.get("check_count", 0),
        failed_count=first.get("failed_count", 0),
        critical_count=first.get("critical_total", 0),
        warning_count=first.get("warning_total", 0),
        items=[ReportedCheck(**{name: row[name] for name in ReportedCheck.model_fields}) for row in rows],
    )


async def _preflight(source: asyncpg.Pool | Connection, now: datetime) -> ReportedPreflight:
    found = preflight.put_together(await preflight.told(source), {}, now, fresh=False)
    return ReportedPreflight(**found.model_dump(include=set(ReportedPreflight.model_fields)))


async def _security(source: asyncpg.Pool | Connection, period: Period) -> ReportedSecurity | None:
    first, last = period.days
    row = await source.fetchrow(SELECT_RISK, SITE, first, last)
    return None if row is None else ReportedSecurity(**dict(row))
