"""Deliveries: one for each subscription and event, and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Json, Model, Open, Page, Query, Time
from libs.common.contracts.notifier.subscriptions import Shown, SubscriptionKey
from libs.common.problems import Conflict, Invalid, NotFound

MAX_AT_ONCE = 10_000
MAX_ID = 2**63 - 1

State = Literal["pending", "delivering", "delivered", "retrying", "suppressed", "dead"]
EventName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,120}$")]
SubscriptionId = Annotated[int, Field(ge=1, le=MAX_ID)]


class DeliveryFilter(Model):
    subscription_id: SubscriptionId | None = Field(None, description="Only of this subscription")
    channel_id: SubscriptionId | None = Field(None, description="Only by this channel")
    state: State | None = Field(None, description="Only those in this state")
    event_name: EventName | None = Field(None, description="Only of events of this name")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class DeliveryKey(Model):
    delivery_id: int = Field(ge=1, le=MAX_ID, description="The delivery's number")


class Attempt(Open):
    """One try: the status of the answer, or the sentence that says why there was none."""

    at: Time
    http_status: int | None = None
    took_ms: float | None = None
    error: str | None = None


class DeliveryView(Open):
    """``due_at``: when it is tried next; while it is ``delivering``, when another process would take it over.

    ``note``: what was odd and yet sent, such as a template that failed. ``purpose`` is ``subscription``, or why it goes
    straight to a channel: ``test``, ``escalation`` and the like.
    ``suppressed``: its target keeps failing at such events, so it is held back since ``suppressed_at`` and not tried.
    """

    delivery_id: int
    subscription_id: int | None
    channel_id: int | None = None
    purpose: str = "subscription"
    event_id: UUID
    event_name: str
    site: str
    state: State
    created_at: Time
    due_at: Time | None
    attempt_count: int
    last_attempt_at: Time | None
    suppressed_at: Time | None = None
    ended_at: Time | None
    http_status: int | None
    took_ms: float | None
    error: str | None
    note: str | None = None


class DeliveryDetail(DeliveryView):
    """With what was sent and answered at the last attempt, heads only, and the newest attempts, the oldest first."""

    webhook_id: str
    endpoint: Shown
    request_headers: dict[str, str] | None
    answer_headers: dict[str, str] | None
    answer_head: str | None
    attempts: list[Attempt]
    event: Json | None = Field(description="The event, while it is kept, for those who may be told of it")


class EventIds(Model):
    event_ids: Annotated[list[UUID], Field(max_length=1000)]


class DeliveryBrief(Open):
    """A delivery as it stands in a trace: that there is one, what for, and how far it is."""

    delivery_id: int
    event_id: UUID
    site: str
    purpose: str
    state: State
    created_at: Time


class DeliveriesRetry(Model):
    """Which of the site's dead deliveries are tried again."""

    subscription_id: SubscriptionId | None = Field(None, description="Only of this subscription; else of all")
    since: Time | None = Field(None, description="Only those that were made at this time or later")


class Retried(Open):
    """``left_over_count``: as many more would be; ask again."""

    retried_count: int
    left_over_count: int = 0
    delivery_id: int | None = None
    subscription_id: int | None = None


class Replay(SubscriptionKey):
    since: Time = Field(description="From which time on, as Headgate received the events")
    until: Time | None = Field(None, description="Up to which time; else up to now")
    delivered_too: bool = Field(False, description="Also what was delivered before, under the same webhook-id")


class Replayed(Open):
    """``next_since``: there are more events; ask again from there."""

    subscription_id: int
    event_count: int
    made_count: int
    again_count: int
    next_since: Time | None = None


list_deliveries = Query(
    "notifier.deliveries.list",
    params=DeliveryFilter,
    result=Page[DeliveryView],
    permission="subscription:read",
    http=GET("/api/deliveries"),
    errors=(Invalid,),
    summary="List the site's deliveries, newest first",
)
# For the audit log, which shows what a request set off.
deliveries_of_events = Query("notifier.deliveries.of_events", params=EventIds, result=list[DeliveryBrief], sited=False)
show_delivery = Query(
    "notifier.deliveries.get",
    params=DeliveryKey,
    result=DeliveryDetail,
    permission="subscription:read",
    http=GET("/api/deliveries/{delivery_id}"),
    errors=(NotFound,),
    summary="Show a delivery with its attempts and what was answered",
)
retry_delivery = Command(
    "notifier.delivery.retry",
    body=DeliveryKey,
    result=Retried,
    permission="subscription:write",
    http=POST("/api/deliveries/{delivery_id}/retry", also=("/api/ops/alerts/deliveries/{delivery_id}/retry",)),
    errors=(NotFound, Conflict),
    summary="Send a delivery again now, under the same webhook-id",
)
retry_deliveries = Command(
    "notifier.delivery.retry_many",
    about="{site}",
    body=DeliveriesRetry,
    result=Retried,
    permission="subscription:write",
    http=POST("/api/deliveries/retry"),
    errors=(NotFound,),
    summary=f"Send dead deliveries again now, at most {MAX_AT_ONCE}",
)
replay_subscription = Command(
    "notifier.subscription.replay",
    body=Replay,
    result=Replayed,
    permission="subscription:write",
    http=POST("/api/subscriptions/{subscription_id}/replay"),
    errors=(NotFound, Conflict),
    summary="Send a subscription the events from a time on: those it missed, and those that were given up",
)
delivery_retried = Event(
    "notifier.delivery.retried", data=Retried, summary="Somebody had deliveries sent again that were over"
)
subscription_replayed = Event(
    "notifier.subscription.replayed", data=Replayed, summary="Somebody had events of before sent to a subscription"
)
