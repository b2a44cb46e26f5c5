"""The preflight of all services: kept as they tell it, asked anew when somebody wants it fresh, and put together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import asyncpg

from libs.common.contracts import CONTRACTS, SERVICES
from libs.common.contracts.base import Event
from libs.common.contracts.operations import preflight as contract
from libs.common.contracts.operations.preflight import FoundCheck, Preflight, PreflightWanted, ServicePreflight
from libs.common.contracts.preflight import PreflightReport, preflight_event, preflight_query
from libs.common.preflight import overall
from libs.common.service import Connection, EventHandler, Read, Table, Tx
from services.operations.asked import Asks, each
from services.operations.domain.clocks import spread

# Of what comes in another order, or again, the newest stays.
KEEP = """
INSERT INTO preflight_report (service, instance, checked_at, report) VALUES ($1, $2, $3, $4)
ON CONFLICT (service) DO UPDATE
SET instance = excluded.instance, checked_at = excluded.checked_at, report = excluded.report
WHERE preflight_report.checked_at <= excluded.checked_at
"""
SELECT_REPORTS = "SELECT service, report FROM preflight_report ORDER BY service"

_ORDER = {"error": 0, "warning": 1, "ok": 2}


async def hear(tx: Tx, report: PreflightReport) -> None:
    """Keep what a service says of itself. Raises `ValueError` for one that speaks of another."""
    if tx.message.source != f"/headgate/{report.service}":
        raise ValueError(f"{tx.message.source} spoke of {report.service}")
    await keep(tx.connection, report)


async def keep(connection: Connection, report: PreflightReport) -> None:
    """Store it, unless a newer one is there."""
    content = report.model_dump(mode="json")
    await connection.execute(KEEP, report.service, report.instance, report.checked_at, content)


async def told(source: asyncpg.Pool | Connection) -> dict[str, PreflightReport]:
    """What services said when they last spoke, by service."""
    rows = await source.fetch(SELECT_REPORTS)
    return {row["service"]: PreflightReport.model_validate(row["report"]) for row in rows}


async def refreshed(asker: Asks) -> tuple[dict[str, PreflightReport], dict[str, str]]:
    """What every service finds now, this one too, and which do not answer and why."""
    return await each(asker, preflight_query)


def put_together(
    reports: Mapping[str, PreflightReport], silent: Mapping[str, str], now: datetime, *, fresh: bool
) -> Preflight:
    """One answer of many. ``silent``: services that were asked and did not answer, with the reason."""
    checks = [_as_found(report.service, report) for report in reports.values()]
    found = [one for group in checks for one in group]
    for service in SERVICES:
        if service in silent:
            found.append(_error(service, "answers", f"{silent[service]} Start it; its log says why it ended."))
        elif service not in reports:
            found.append(_error(service, "spoken", f"{service} has never said what it found; start it."))
    offsets = {name: one.clock_offset_ms for name, one in reports.items() if one.clock_offset_ms is not None}
    status, message = spread(offsets)
    found.append(
        FoundCheck.model_validate(
            {"service": "operations", "id": "clocks", "severity": "error", "status": status, "message": message}
        )
    )
    errors, warnings = (sum(one.status == word for one in found) for word in ("error", "warning"))
    return Preflight(
        generated_at=now,
        refreshed=fresh,
        fail_on_error=bool(reports) and all(one.fail_on_error for one in reports.values()),
        overall_status=overall(errors, warnings),
        has_error=errors > 0,
        error_count=errors,
        warning_count=warnings,
        check_count=len(found),
        services=[_of(service, reports.get(service), silent) for service in SERVICES],
        checks=sorted(found, key=lambda one: (_ORDER[one.status], SERVICES.index(one.service))),
    )


def _as_found(service: str, report: PreflightReport) -> list[FoundCheck]:
    return [FoundCheck(service=service, **one.model_dump()) for one in report.checks]


def _error(service: str, name: str, message: str) -> FoundCheck:
    return FoundCheck(service=service, id=name, severity="error", status="error", message=message)


def _of(service: str, report: PreflightReport | None, silent: Mapping[str, str]) -> ServicePreflight:
    if report is None:
        return ServicePreflight(
            service=service, spoke_at=None, instance="", headgate_version="", overall_status="critical", error_count=1,
            warning_count=0, check_count=1, clock_offset_ms=None, settings_given=[],
        )  # fmt: skip
    shown = ServicePreflight(spoke_at=report.checked_at, **report.model_dump(include=set(_SHARED)))
    return shown.model_copy(update={"overall_status": "critical"}) if service in silent else shown


_SHARED = tuple(set(ServicePreflight.model_fields) & set(PreflightReport.model_fields))


async def show(read: Read, wanted: PreflightWanted) -> Preflight:
    """All services; those in ``SERVICES`` that nobody has heard of are in error, never absent."""
    if not wanted.refresh:
        known = {name: one for name, one in (await told(read.pool)).items() if name in SERVICES}
        return put_together(known, {}, read.now, fresh=False)
    return put_together(*await refreshed(read), read.now, fresh=True)


_TOLD: dict[Event, EventHandler] = {
    CONTRACTS[service].by_name[preflight_event(service).name]: hear  # type: ignore[misc]
    for service in CONTRACTS
}
TABLE = Table(queries={contract.show_preflight: show}, events=_TOLD)
