"""Webhooks: other systems that tell of their runs by themselves, each known by a secret of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, PUT, Command, Event, Line, Model, Nothing, Open, Query, Time
from libs.common.contracts.base import Token as Word
from libs.common.contracts.changes import Changed
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.contracts.senders import System, WebhookMapping
from libs.common.problems import Conflict, Invalid, NotFound, PreconditionFailed

MAX_OVERLAP_HOURS = 168
WEBHOOK_ID = r"^[0-9a-f]{32}$"
_HEX_ID = Annotated[str, StringConstraints(pattern=WEBHOOK_ID)]
_SALT = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_FINGERPRINT = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class WebhookCreate(WebhookMapping):
    name: Word = Field(description="Unique within the site: its signals come from the actor webhook:<name>")
    system: System = Field(description="Who sends")
    label: Line | None = Field(None, description="What it is for")


class WebhookSealed(WebhookCreate):
    """What travels on the bus: the edge made id and salt, from which its own key gives the secret."""

    webhook_id: _HEX_ID
    salt: _SALT
    fingerprint: _FINGERPRINT


class WebhookKey(Model):
    webhook_id: _HEX_ID = Field(description="The webhook's id, as in its address")


class WebhookChange(WebhookKey, WebhookMapping):
    """All of the mapping anew: what is left out is as it would be in a new webhook."""

    if_revision: IfRevision = None


class WebhookRotate(WebhookKey):
    overlap_hours: int = Field(
        24, ge=0, le=MAX_OVERLAP_HOURS, description="How long the secret before goes on to be good"
    )


class WebhookRotateSealed(WebhookRotate):
    salt: _SALT
    fingerprint: _FINGERPRINT


class WebhookView(Open):
    """``path`` is where the other system sends to. ``fingerprint`` tells secrets apart and opens nothing.

    ``secret_by``: who was shown the secret last. ``orphaned``: that person is not active any more, so that nothing is
    taken until somebody rotates the secret. ``revision`` counts its changes.
    """

    webhook_id: str
    site: str
    name: str
    system: System
    label: str | None = None
    subjects: dict[str, str]
    version_from: str
    refs: list[str]
    drop_prefix: str
    path: str
    fingerprint: str
    created_at: Time
    created_by: str
    secret_by: str | None = None
    orphaned: bool = False
    rotated_at: Time | None = None
    previous_until: Time | None = Field(None, description="Until when the secret before the last rotation is good")
    removed_at: Time | None = None
    revision: int = 0


class WebhookChanged(WebhookView, Changed):
    """A webhook after a change. That it has another secret is told, and nothing of it."""


class WebhookIssued(WebhookView):
    """``secret`` is for the other system. It is shown in this one answer and never again."""

    secret: str | None = None
    note: str = ""


create_webhook = Command(
    "gateway.webhook.create",
    about="{webhook_id}",
    body=WebhookSealed,
    result=WebhookIssued,
    permission="webhook:write",
    http=POST("/api/webhooks", status=201, seal="webhook"),
    errors=(Conflict, Invalid),
    summary="Let another system tell of its runs (takes signal:write, too); the secret is shown once",
)
change_webhook = Command(
    "gateway.webhook.change",
    body=WebhookChange,
    result=WebhookView,
    permission="webhook:write",
    http=PUT("/api/webhooks/{webhook_id}", **GUARDED),
    errors=(NotFound, Invalid, PreconditionFailed),
    summary="Change whom a webhook's deliveries are about, from the next one on",
)
rotate_webhook = Command(
    "gateway.webhook.rotate",
    body=WebhookRotateSealed,
    result=WebhookIssued,
    permission="webhook:write",
    http=POST("/api/webhooks/{webhook_id}/rotate", seal="webhook_secret"),
    errors=(NotFound,),
    summary="Give a webhook another secret (takes signal:write, too); the one before stays good for a while",
)
remove_webhook = Command(
    "gateway.webhook.remove",
    body=WebhookKey,
    result=WebhookView,
    permission="webhook:write",
    http=DELETE("/api/webhooks/{webhook_id}"),
    errors=(NotFound,),
    summary="Remove a webhook; its deliveries are refused within 5 seconds everywhere",
)
list_webhooks = Query(
    "gateway.webhooks.list",
    params=Nothing,
    result=list[WebhookView],
    permission="signal:read",
    http=GET("/api/webhooks"),
    summary="List the site's webhooks, the newest first (never their secret)",
)
webhook_created = Event("gateway.webhook.created", data=WebhookView, summary="A webhook was made (without its secret)")
webhook_changed = Event(
    "gateway.webhook.changed", data=WebhookChanged, summary="A webhook has another mapping or secret, or was removed"
)
