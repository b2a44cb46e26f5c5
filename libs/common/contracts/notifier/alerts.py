"""Deliveries and channels as callers of the facility system know them: its words for states, its figures."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Json, Model, Nothing, Open, Page, Query, Time
from libs.common.contracts.notifier.deliveries import EventName
from libs.common.contracts.notifier.guard import BASE, Target
from libs.common.problems import Invalid

MAX_PAYLOAD_BYTES = 16_000
MAX_RETRIES = 500
WINDOWS_DAYS = (7, 30)

Status = Literal["pending", "success", "warning", "failed", "suppressed"]


class AlertFilter(Model):
    event_type: EventName | None = Field(None, description="Only of events of this name")
    target: Target | None = Field(None, description="Only to this target: a subscription, or below zero a channel")
    status: Status | None = Field(None, description="Only those that stand like this")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class AlertDelivery(Open):
    """``status``: ``pending`` (not tried yet), ``success``, ``warning`` (failed, and is tried again), ``failed`` (given

    up) or ``suppressed`` (held back untried while its target keeps failing, which is no failure). ``payload_json`` is
    the event, null if it is kept no more, longer than 16,000 bytes, or not for the caller's eyes.
    """

    id: int
    event_type: str
    event_id: UUID
    target: int
    name: str
    status: Status
    attempted: bool
    dispatched: bool
    error: str | None
    payload_json: Json | None
    attempt_count: int
    last_attempt_at: Time | None
    created_at: Time
    updated_at: Time


class AlertRetries(Model):
    event_type: EventName | None = Field(None, description="Only of events of this name")
    target: Target | None = Field(None, description="Only to this target")
    status: Literal["failed", "warning", "all"] = Field(
        "all", description="Those that were given up, those that wait for their next try, or both"
    )
    limit: int = Field(100, ge=1, le=MAX_RETRIES, description="How many at the most, the oldest first")
    dry_run: bool = Field(False, description="Only say which")


class AlertsRetried(Open):
    """``more``: there are more than the limit; ask again."""

    retried_count: int
    dry_run: bool
    more: bool
    delivery_ids: list[int]


class ChannelFigures(Open):
    """``success_rate_percent``: of what was delivered, given up, or failed and waits for another try; null if there is

    nothing of these. What is suppressed is counted by itself and in no rate. ``latency_ms`` is the mean of attempts
    that were answered, null if none was.
    """

    delivered_count: int
    failed_count: int
    retrying_count: int
    suppressed_count: int
    success_rate_percent: float | None
    attempt_count: int
    failed_attempt_count: int
    attempt_success_rate_percent: float | None
    latency_ms: float | None


class TargetFigures(ChannelFigures):
    target: int
    name: str


class ChannelWindow(ChannelFigures):
    """``since``: the window begins with the day (UTC) ``days - 1`` days ago. ``channels``: those with any figure."""

    days: int
    since: Time
    channels: list[TargetFigures]


class ChannelKpi(Open):
    generated_at: Time
    windows: list[ChannelWindow]


class DeliveryDays(Model):
    """UTC days, both of them included."""

    first_day: date
    last_day: date


class DeliverySums(Open):
    """Deliveries of all sites that ended on those days. Of days before ``kept_since`` nothing is known any more."""

    kept_since: date
    delivered_count: int
    failed_count: int


list_alerts = Query(
    "notifier.alerts.list",
    params=AlertFilter,
    result=Page[AlertDelivery],
    permission="subscription:read",
    http=GET(f"{BASE}/deliveries"),
    errors=(Invalid,),
    summary="List the site's deliveries with their events, newest first",
)
retry_alerts = Command(
    "notifier.alerts.retry",
    about="{site}",
    body=AlertRetries,
    result=AlertsRetried,
    permission="subscription:write",
    http=POST(f"{BASE}/retries/run"),
    summary="Send now what failed: what was given up, and what waits for its next try",
)
channel_kpi = Query(
    "notifier.alerts.channels",
    params=Nothing,
    result=ChannelKpi,
    permission="subscription:read",
    http=GET(f"{BASE}/kpi/channels"),
    summary="How well each target takes its deliveries, over 7 and over 30 days",
)
sum_deliveries = Query("notifier.alerts.sum", params=DeliveryDays, result=DeliverySums, sited=False)  # for services
