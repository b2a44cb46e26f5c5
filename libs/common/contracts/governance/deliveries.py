"""Deliveries of webhooks: the edge has checked who sent one, governance reads what it says."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from libs.common.contracts.base import Command, Event, Model, Open
from libs.common.contracts.governance.signals import SignalReceipt
from libs.common.contracts.senders import System, WebhookMapping
from libs.common.problems import Conflict, Invalid

Header = Annotated[str, StringConstraints(max_length=200)]


class DeliveryRecord(Model):
    """``event`` is the system's own word, ``key`` tells the delivery from all others of the webhook."""

    webhook: str
    system: System
    mapping: WebhookMapping
    event: Header
    key: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    payload: dict[str, Any]


class DeliveryReceipt(Open):
    """``ignored`` says why nothing of it is judged, "" where a signal was recorded."""

    ignored: str = ""
    items: list[SignalReceipt] = []


class DeliveryIgnored(Open):
    webhook: str
    event: str
    why: str = Field(description="Why nothing of it is judged, in a sentence")


# Without a route of its own: the edge's `/api/webhooks/{webhook_id}` asks for no token, but for a signature.
record_delivery = Command(
    "governance.delivery.record",
    about="{webhook}",
    body=DeliveryRecord,
    result=DeliveryReceipt,
    permission="signal:write",
    errors=(Invalid, Conflict),
    summary="Record what a webhook delivered",
)
delivery_ignored = Event(
    "governance.delivery.ignored", data=DeliveryIgnored, summary="A webhook told of something that is not judged"
)
