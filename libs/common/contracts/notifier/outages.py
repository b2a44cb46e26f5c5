"""Outages of targets, and the mean time to recovery."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Model, Nothing, Open, Page, Query, Time
from libs.common.problems import Invalid

ALERTS = "/api/ops/alerts"
MAX_TARGETS = 500


class MttrFigures(Open):
    """An outage that was open when the window began counts from then on. ``mttr_minutes`` is the mean over those that

    have ended, null if none has; those that last (``unresolved_incidents``) are counted and in no mean.
    """

    incident_count: int
    recovered_incidents: int
    unresolved_incidents: int
    mttr_minutes: float | None


class TargetMttr(MttrFigures):
    """``target`` is a subscription's number, or below zero a channel's. ``open_since``: since when its outage lasts."""

    target: int
    name: str
    open_since: Time | None


class MttrWindow(MttrFigures):
    """``targets``: those with outages, at most 500: those that fail now first, then by how long they took."""

    days: int
    targets: list[TargetMttr]


class MttrKpi(Open):
    generated_at: Time
    windows: list[MttrWindow]


class OutageFilter(Model):
    target: int | None = Field(None, ge=-(2**63) + 1, le=2**63 - 1, description="Only of this target")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class OutageView(Open):
    """``ended_at`` null: it lasts."""

    outage_id: int
    target: int
    site: str
    began_at: Time
    ended_at: Time | None


get_mttr = Query(
    "notifier.outages.mttr",
    params=Nothing,
    result=MttrKpi,
    permission="subscription:read",
    http=GET(f"{ALERTS}/kpi/mttr"),
    summary="Mean time to recovery of the site's targets, over 7 and over 30 days",
)
list_outages = Query(
    "notifier.outages.list",
    params=OutageFilter,
    result=Page[OutageView],
    permission="subscription:read",
    http=GET(f"{ALERTS}/outages"),
    errors=(Invalid,),
    summary="List the outages of the site's targets, newest first",
)
