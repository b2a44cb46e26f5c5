"""Escalations as the notifier answers for them: once for each key of `tracker.escalation.raised`."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from libs.common.contracts.base import Event, Open


class EscalationDelivery(Open):
    """One channel that was to be told. ``person`` is whose own it is; empty for one that several people read.

    ``pending``: not known yet when the answer was given, which is at the first that was ``delivered``.
    """

    channel: str
    kind: str
    person: str = ""
    state: Literal["pending", "delivered", "failed"]
    error: str | None = None


class EscalationAnswer(Open):
    """What became of telling a level. ``without_channel`` names who was to be told and has no channel to be told by.

    ``error`` is a sentence for people: why nobody could be told, or who could not.
    """

    key: UUID
    item_id: int
    level: int
    deliveries: list[EscalationDelivery]
    without_channel: list[str] = []
    error: str | None = None


escalation_delivered = Event(
    "notifier.escalation.delivered",
    data=EscalationAnswer,
    summary="A level of an escalation was told, by one channel at least",
)
escalation_failed = Event(
    "notifier.escalation.failed", data=EscalationAnswer, summary="Nobody of a level of an escalation could be told"
)
