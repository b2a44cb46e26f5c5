"""Subscriptions: which events of a site go where, and with whose eyes they are seen."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from libs.common.contracts.base import (
    DELETE,
    GET,
    POST,
    PUT,
    Command,
    Event,
    Line,
    Model,
    Open,
    Page,
    Query,
    Time,
    Token,
)
from libs.common.contracts.changes import Changed
from libs.common.contracts.names import Name
from libs.common.contracts.notifier.channels import WEBHOOK, Language
from libs.common.contracts.notifier.pacing import EventType, Pacing, QuietWindow
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound, Unavailable

MAX_SUBSCRIPTIONS = 1000  # of one site, removed ones not counted
MAX_OVERLAP_HOURS = 168
_PATH = "/api/subscriptions/{subscription_id}"

Status = Literal["active", "paused", "disabled", "removed"]
Endpoint = Annotated[str, StringConstraints(pattern=r"^(https?://[!-~]+…?)?$", max_length=2000)]
Shown = Annotated[str, AfterValidator(lambda endpoint: shown_endpoint(endpoint))]
Condition = Annotated[str, StringConstraints(max_length=4000)]
_Sealed = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[!-~]+$")]
_Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


def shown_endpoint(endpoint: str) -> str:
    """An endpoint as people may read it later: without what may be a secret in its query, or before its host."""
    start, question, _ = endpoint.partition("#")[0].partition("?")
    scheme, slashes, rest = start.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{'?…' if question else ''}"


def signing_place(fingerprint: str) -> str:
    """Where in the vault a signing secret belongs: to its fingerprint, which its row holds too."""
    return f"subscription/{fingerprint}"


class Filters(Model):
    """What of the named events is wanted. An empty list asks nothing; an event that lacks what is asked is not sent."""

    gates: list[Token] = Field([], max_length=50, description="Only of these gates")
    rules: list[Name] = Field([], max_length=50, description="Only of these rules; of a verdict: if one has not passed")
    priorities: list[Annotated[int, Field(ge=1, le=9)]] = Field(
        [], max_length=9, description="Only items of these priorities; 1 is the most severe"
    )
    roles: list[Token] = Field([], max_length=20, description="Only what these roles own, or are to be told")
    condition: Condition = Field(
        "", description="In CEL over event (its attributes) and data: only if it is true; an error is not true"
    )


class SubscriptionFields(Filters, Pacing):
    """All that a person says of a subscription."""

    name: Line = Field(description="What it is for")
    event_types: list[EventType] = Field(
        min_length=1,
        max_length=50,
        description="Names of events, such as governance.gate.decided; * stands for any text",
    )
    channel: Token = Field(
        WEBHOOK, description="How it is told: webhook is Standard Webhooks, signed; else the name of a channel"
    )
    endpoint: Endpoint = Field(
        "", description="Where to, if the channel is webhook: an address that may be reached from here"
    )

    @model_validator(mode="after")
    def _leads_somewhere(self) -> SubscriptionFields:
        if self.channel == WEBHOOK and not self.endpoint:
            raise ValueError("the channel webhook needs an endpoint; or name a channel of the site")
        if self.channel != WEBHOOK and self.endpoint:
            raise ValueError(f"the channel {self.channel} says where to, so leave the endpoint out")
        if self.channel == WEBHOOK and self.paced:
            raise ValueError(
                f"{', '.join(self.paced)}: these are for people; a {WEBHOOK} gets each event at once, as it was."
                " Leave them out, or name a channel of the site"
            )
        return self


class SubscriptionCreate(SubscriptionFields):
    pass


class SubscriptionSealed(SubscriptionCreate):
    """What travels on the bus: the edge made the secret and encrypted it with the installation's vault.

    What goes to a channel is not signed, so it has none.
    """

    secret: _Sealed | None = None
    fingerprint: _Fingerprint | None = None


class SubscriptionKey(Model):
    subscription_id: int = Field(ge=1, le=2**63 - 1, description="The subscription's number")


class SubscriptionChange(SubscriptionKey, SubscriptionFields):
    """All of it anew: what is left out is as it would be in a new subscription."""


class SubscriptionPause(SubscriptionKey):
    reason: Reason | None = Field(None, description="Why, in a line")


class SubscriptionRotate(SubscriptionKey):
    overlap_hours: int = Field(
        24, ge=0, le=MAX_OVERLAP_HOURS, description="How long messages are signed with the secret before as well"
    )


class SubscriptionRotateSealed(SubscriptionRotate):
    secret: _Sealed
    fingerprint: _Fingerprint


class SubscriptionFilter(Model):
    status: Status | None = Field(None, description="Only those in this state; else all that are not removed")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class SubscriptionView(Open):
    """``fingerprint`` tells secrets apart and opens nothing; what goes to a channel has none.

    ``endpoint``: its query stays hidden, since it may hold a secret. ``disabled``: the receiver said 410, it wants no
    more.
    """

    subscription_id: int
    site: str
    name: str
    owner: str
    status: Status
    status_reason: str
    channel: str
    endpoint: Shown
    event_types: list[str]
    gates: list[str]
    rules: list[str]
    priorities: list[int]
    roles: list[str]
    condition: str
    template: str | None = None
    language: Language | None = None
    zone: str | None = None
    quiet_hours: list[QuietWindow] = []
    digest_minutes: int = 0
    urgent_priorities: list[int] = []
    urgent_event_types: list[str] = []
    fingerprint: str
    created_at: Time
    changed_by: str
    changed_at: Time
    rotated_at: Time | None = None
    previous_until: Time | None = Field(None, description="Until when the secret before the last rotation signs too")


class SubscriptionChanged(SubscriptionView, Changed):
    """A subscription after a change. Of its endpoint and its secret it is told that they are others."""


class SubscriptionIssued(SubscriptionView):
    """``signing_secret`` is for the receiver. It is shown in this one answer and never again."""

    signing_secret: str | None = None
    note: str = ""


class SubscriptionTested(Open):
    """A sample that only this subscription gets. Its delivery has the number of this event."""

    subscription_id: int
    asked_by: str
    event_id: UUID | None = None


create_subscription = Command(
    "notifier.subscription.create",
    about="{subscription_id}",
    body=SubscriptionSealed,
    result=SubscriptionIssued,
    permission="subscription:write",
    http=POST("/api/subscriptions", status=201, seal="subscription"),
    errors=(Conflict, Invalid, Unavailable),
    summary="Have events of a site sent to an address; the signing secret is shown once",
)
change_subscription = Command(
    "notifier.subscription.change",
    body=SubscriptionChange,
    result=SubscriptionView,
    permission="subscription:write",
    http=PUT(_PATH),
    errors=(NotFound, Invalid),
    summary="Change what a subscription sends and where to",
)
rotate_subscription = Command(
    "notifier.subscription.rotate",
    body=SubscriptionRotateSealed,
    result=SubscriptionIssued,
    permission="subscription:write",
    http=POST(f"{_PATH}/rotate", seal="subscription_secret"),
    errors=(NotFound, Conflict),
    summary="Give a subscription another secret; the one before signs as well for a while",
)
pause_subscription = Command(
    "notifier.subscription.pause",
    body=SubscriptionPause,
    result=SubscriptionView,
    permission="subscription:write",
    http=POST(f"{_PATH}/pause"),
    errors=(NotFound, Conflict),
    summary="Send nothing for now: what is waiting waits on, and of new events nothing is made",
)
resume_subscription = Command(
    "notifier.subscription.resume",
    body=SubscriptionKey,
    result=SubscriptionView,
    permission="subscription:write",
    http=POST(f"{_PATH}/resume"),
    errors=(NotFound, Conflict),
    summary="Go on with a subscription that is paused or disabled",
)
test_subscription = Command(
    "notifier.subscription.test",
    body=SubscriptionKey,
    result=SubscriptionTested,
    permission="subscription:write",
    http=POST(f"{_PATH}/test"),
    errors=(NotFound, Conflict),
    summary="Send a sample, whatever the subscription's filters are",
)
remove_subscription = Command(
    "notifier.subscription.remove",
    body=SubscriptionKey,
    result=SubscriptionView,
    permission="subscription:write",
    http=DELETE(_PATH),
    errors=(NotFound, Conflict),
    summary="Remove a subscription; what has not been sent never will be",
)
list_subscriptions = Query(
    "notifier.subscriptions.list",
    params=SubscriptionFilter,
    result=Page[SubscriptionView],
    permission="subscription:read",
    http=GET("/api/subscriptions"),
    errors=(Invalid,),
    summary="List the site's subscriptions, newest first (never their secrets)",
)
show_subscription = Query(
    "notifier.subscriptions.get",
    params=SubscriptionKey,
    result=SubscriptionView,
    permission="subscription:read",
    http=GET(_PATH),
    errors=(NotFound,),
    summary="Show a subscription",
)
subscription_created = Event(
    "notifier.subscription.created", data=SubscriptionView, summary="A subscription was made (without its secret)"
)
subscription_changed = Event(
    "notifier.subscription.changed",
    data=SubscriptionChanged,
    summary="A subscription was changed, rotated, paused, resumed or removed",
)
subscription_disabled = Event(
    "notifier.subscription.disabled", data=SubscriptionChanged, summary="A receiver wants no more: it answered 410 Gone"
)
subscription_tested = Event(
    "notifier.subscription.tested", data=SubscriptionTested, summary="A sample for one subscription"
)
