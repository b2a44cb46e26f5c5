"""The runbook, as it is answered: each check with its word, what was found, and what to do."""

from __future__ import annotations

from libs.common.contracts.base import GET, Json, Open, Query, Time
from libs.common.contracts.preflight import Overall


class RunbookCheck(Open):
    """``message`` says what was found, ``action`` what to do if it is not ok. ``detail`` has the figures."""

    id: str
    status: Overall
    message: str
    action: str
    detail: Json = {}


class Runbook(Open):
    """Every check, each time: one that could not be made is critical with the reason. The whole is as its worst."""

    generated_at: Time
    overall_status: Overall
    check_count: int
    warning_count: int
    critical_count: int
    checks: list[RunbookCheck]


show_runbook = Query(
    "operations.runbook.get",
    result=Runbook,
    permission="operations:read",
    http=GET("/api/ops/runbook/checks", cost=5),
    summary="Make every check of the runbook now",
    sited=False,
)
