"""Refusals: counted, so that the audit log knows of them without being filled by strangers."""

from __future__ import annotations

from libs.common.contracts.base import Event, Open, Time


class RefusalCount(Open):
    """``who`` is a username, or ``address:<ip>`` of a caller without a valid token."""

    who: str
    route: str
    status: int
    count: int


class RefusalsCounted(Open):
    """Refused requests of one minute; ``overflow_count`` is how many did not fit the list."""

    minute: Time
    instance: str
    items: list[RefusalCount]
    overflow_count: int = 0


refusals_counted = Event("gateway.refusals.counted", data=RefusalsCounted, summary="Requests refused in one minute")
