"""SLOs of Headgate's own HTTP API: what is left of their error budgets, and how fast these are spent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Event, Model, Nothing, Open, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.problems import NotFound

SloStatus = Literal["page", "spent", "ticket", "no_data", "ok"]
SLO_JOB = "slo_check"


class SloKey(Model):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,70}$", description="The SLO's name")


class SloWindow(Open):
    """The requests of the last ``minutes``. ``burn_rate``: 1 spends exactly the budget; null without requests.

    A window begins with a whole minute, so it may be up to one longer.
    """

    window: str
    minutes: int
    sample_count: int
    bad_count: int
    burn_rate: float | None


class SloAlert(Open):
    """Fires while both windows burn faster than ``factor`` and the long one has 8 requests or more."""

    severity: Literal["page", "ticket"]
    short_window: str
    long_window: str
    factor: float
    firing: bool


class Slo(Open):
    """An SLO, its budget over the period that began at ``period_started_at``, its windows and its alerts.

    ``status``: ``page`` and ``ticket`` say which alert fires, ``spent`` that no budget is left, ``no_data`` that the
    last hour had fewer than 8 requests; the first of page, spent, ticket, no_data, ok that is so.
    ``budget_left_percent`` is below 0 where more was spent than allowed; null with fewer than 8 requests.
    ``threshold_ms`` is what the SLO wants of the latency. ``counted_threshold_ms``: from there on requests count as
    slow, the nearest bound of a bucket below, so that the answer errs on the safe side by at most
    ``threshold_error_ms``.
    """

    name: str
    title: str
    service: str
    description: str
    indicator: Literal["availability", "latency"]
    counted: str
    target_percent: float
    threshold_ms: float | None
    counted_threshold_ms: float | None
    threshold_error_ms: float | None
    period: str
    period_started_at: Time
    sample_count: int
    bad_count: int
    good_percent: float | None
    budget_left_percent: float | None
    status: SloStatus
    since: Time
    message: str
    windows: list[SloWindow]
    alerts: list[SloAlert]
    subjects: list[str]
    notes: list[str]
    file: str


class SloList(Open):
    """Every SLO. ``status`` is the worst: page, spent, ticket, no_data, ok."""

    generated_at: Time
    status: SloStatus
    count: int
    items: list[Slo]


class SloChanged(Changed):
    """``was`` is null where the SLO is new."""

    name: str
    title: str
    service: str
    status: SloStatus
    was: SloStatus | None
    since: Time
    message: str
    target_percent: float
    budget_left_percent: float | None


list_slos = Query(
    "metrics.slo.list",
    params=Nothing,
    result=SloList,
    permission="metrics:read",
    http=GET("/api/ops/slo"),
    summary="The SLOs of the HTTP API: error budgets, burn rates and alerts",
    sited=False,
)
get_slo = Query(
    "metrics.slo.get",
    params=SloKey,
    result=Slo,
    permission="metrics:read",
    http=GET("/api/ops/slo/{name}"),
    errors=(NotFound,),
    summary="One SLO with its windows and alerts",
    sited=False,
)
slo_changed = Event("metrics.slo.changed", data=SloChanged, summary="An SLO stands otherwise than before")
