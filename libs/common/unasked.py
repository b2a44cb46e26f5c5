"""What a service does of itself: a transaction that no message began, so that its events have a cause all the same."""

from __future__ import annotations

from datetime import datetime

from libs.common.cloudevents import CloudEvent
from libs.common.ids import uuid7
from libs.common.service import Connection, Tx


def unasked(service: str, connection: Connection | None, now: datetime, *, about: str = "", site: str = "global") -> Tx:
    """A `Tx` in the service's own name. ``about`` says what it saw, such as ``delivery.answered``.

    The caller stages what it has left, in the transaction of ``connection`` or one of its own.
    """
    cause = CloudEvent(
        id=str(uuid7()),
        source=f"/headgate/{service}",
        type=f"headgate.{service}.{about}" if about else "",
        site=site,
        actor=f"service:{service}",
        time=now,
    )
    return Tx(service, connection, cause, now)
