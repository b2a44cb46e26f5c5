"""Preflight: what a service finds of its configuration and surroundings, at its start and when it is asked."""

from __future__ import annotations

from typing import Literal

from libs.common.contracts.base import Event, Nothing, Open, Query, Time

Overall = Literal["ok", "warning", "critical"]


class PreflightCheck(Open):
    """``severity`` is what it would be at the worst. ``message`` says what was found and, if not ok, what to do."""

    id: str
    severity: Literal["error", "warning"]
    status: Literal["ok", "warning", "error"]
    message: str


class PreflightReport(Open):
    """What one process found. ``overall_status`` is critical if any check is in error.

    ``settings_given`` names the settings that are not defaults, without their values. ``clock_offset_ms``: how far the
    process's clock runs ahead of the database's; null if that could not be measured.
    """

    service: str
    instance: str
    headgate_version: str
    checked_at: Time
    fail_on_error: bool
    overall_status: Overall
    error_count: int
    warning_count: int
    check_count: int
    clock_offset_ms: float | None
    settings_given: list[str]
    checks: list[PreflightCheck]


def preflight_event(service: str) -> Event:
    """Tells what a process found at its start."""
    return Event(f"{service}.preflight.finished", data=PreflightReport, summary="A process has looked around at start")


def preflight_query(service: str) -> Query:
    """Has a replica of the service look again, now. For the operations service."""
    return Query(f"{service}.preflight.get", params=Nothing, result=PreflightReport, sited=False)
