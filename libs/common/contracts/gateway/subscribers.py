"""Subscribers on the bus: other systems that pull events from a durable of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Line, Model, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.gateway.users import Scope
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

STREAM = "EVENTS"
MAX_SUBSCRIBERS = 20  # of one user, at one time
MAX_FILTERS = 500
MAX_PENDING_ACKS = 1000
INACTIVE_DAYS = 30

Types = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^(\*|[a-z]+\.(\*|[a-z_]+\.(\*|[a-z_]+)))$")]],
    Field(min_length=1, max_length=20),
]


class SubscriberCreate(Model):
    """A system that reads events. It sees those of its sites, as far as its owner may see them at that moment."""

    name: Token = Field(description="What the system is called; unique among its owner's")
    label: Line | None = Field(None, description="What it is for")
    sites: Scope = Field(["*"], description="Names of sites, or * for all that the owner may see")
    types: Types = Field(["*"], description="Types of events, such as governance.gate.decided, tracker.item.* or *")
    owner: Token | None = Field(None, description="Whose tokens it logs in with; by default the caller")
    start: Literal["now", "oldest"] = Field("now", description="With the next event, or with the oldest that is held")


class SubscriberSealed(SubscriberCreate):
    """What travels on the bus: the edge adds the caller's own scope, and whether it reaches what others have."""

    caller_sites: Scope
    for_others: bool = True


class SubscriberKey(Model):
    subscriber_id: int = Field(ge=1, le=2**53, description="The subscriber's number")


class SubscriberRemove(SubscriberKey):
    """What travels on the bus: the edge adds the caller's own scope, and whether it reaches what others have."""

    caller_sites: Scope
    for_others: bool = True


class SubscriberView(Open):
    """What the system needs to log in, and how far it is behind, as of ``checked_at``.

    ``user`` is its name on the bus and that of its durable on ``stream``; the password is a token of the owner.
    ``pending_count`` events wait for it, ``unacked_count`` it has and did not acknowledge. ``gap_…`` tells of events
    that went by age before it took them.
    """

    subscriber_id: int
    name: str
    label: str | None = None
    owner: str
    sites: list[str]
    types: list[str]
    start: str
    user: str
    stream: str = STREAM
    inbox_prefix: str
    created_at: Time
    removed_at: Time | None = None
    made_at: Time | None = Field(None, description="When its durable was made; before that it can't pull")
    checked_at: Time | None = None
    pending_count: int = 0
    unacked_count: int = 0
    acked_seq: int = Field(0, description="Number on the stream of the last event up to which all are acknowledged")
    last_ack_at: Time | None = None
    gap_at: Time | None = Field(None, description="When it was last found to have missed events")
    gap_after_seq: int | None = None
    gap_before_seq: int | None = None


class SubscriberChanged(SubscriberView, Changed):
    """A subscriber that was removed."""


class SubscriberGap(Open):
    """``lost_count_at_most`` events between the two numbers went by age before the subscriber took them."""

    subscriber_id: int
    name: str
    owner: str
    gap_after_seq: int
    gap_before_seq: int
    lost_count_at_most: int


create_subscriber = Command(
    "gateway.subscriber.create",
    about="{user}",
    body=SubscriberSealed,
    result=SubscriberView,
    permission="subscriber:write",
    http=POST("/api/subscribers", status=201, seal="subscriber"),
    errors=(NotFound, Forbidden, Invalid, Conflict),
    summary="Let another system pull events from the bus, with a token of its owner",
    sited=False,
)
remove_subscriber = Command(
    "gateway.subscriber.remove",
    about="subscriber-{subscriber_id}",
    body=SubscriberRemove,
    result=SubscriberView,
    permission="subscriber:write",
    http=DELETE("/api/subscribers/{subscriber_id}", seal="subscriber_key"),
    errors=(NotFound, Forbidden),
    summary="Remove a subscriber with its durable; its connections end within seconds",
    sited=False,
)
list_subscribers = Query(
    "gateway.subscribers.list",
    result=list[SubscriberView],
    permission="event:read",
    http=GET("/api/subscribers"),
    summary="List subscribers and how far they are behind: one's own, or everybody's for those who may read identity",
    sited=False,
)
subscriber_created = Event("gateway.subscriber.created", data=SubscriberView, summary="A subscriber was made")
subscriber_removed = Event("gateway.subscriber.removed", data=SubscriberChanged, summary="A subscriber was removed")
subscriber_gapped = Event(
    "gateway.subscriber.gapped",
    data=SubscriberGap,
    summary="Events went by age before a subscriber took them",
)
