"""The preflight of all services in one answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Model, Open, Query, Time
from libs.common.contracts.preflight import Overall


class PreflightWanted(Model):
    refresh: bool = Field(False, description="Have each service look again now, instead of what it said at its start")


class ServicePreflight(Open):
    """What one service found. ``spoke_at`` is null for one that has said nothing."""

    service: str
    spoke_at: Time | None
    instance: str
    headgate_version: str
    overall_status: Overall
    error_count: int
    warning_count: int
    check_count: int
    clock_offset_ms: float | None
    settings_given: list[str]


class FoundCheck(Open):
    """A check of a service; ``message`` says what was found and, if not ok, what to do."""

    service: str
    id: str
    severity: Literal["error", "warning"]
    status: Literal["ok", "warning", "error"]
    message: str


class Preflight(Open):
    """All services together. A service that has not spoken, or does not answer, is an error of its own.

    ``overall_status`` is critical if any check is in error. ``fail_on_error``: every service ends at its start when its
    checks are in error. What is not ok comes first in ``checks``.
    """

    generated_at: Time
    refreshed: bool
    fail_on_error: bool
    overall_status: Overall
    has_error: bool
    error_count: int
    warning_count: int
    check_count: int
    services: list[ServicePreflight]
    checks: list[FoundCheck]


show_preflight = Query(
    "operations.preflights.get",
    params=PreflightWanted,
    result=Preflight,
    permission="operations:read",
    http=GET("/api/ops/preflight"),
    summary="What every service found of its configuration and surroundings",
    sited=False,
)
