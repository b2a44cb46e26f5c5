"""Refusals: counted, so that the audit log knows of them without being filled by strangers."""

from __future__ import annotations

from libs.common.contracts.base import Event, Open, Time


class RefusalCount(Open):
    """``who`` is a username. In the record of the same name, which only the audit log gets, it is ``address:<ip>`` of
    a caller without a valid token; so it was in events, too, before there was that record.
    """

    who: str
    route: str
    status: int
    count: int


class StrangerCount(Open):
    """Refused requests of all callers without a valid token, wherever they came from."""

    route: str
    status: int
    count: int


class RefusalsCounted(Open):
    """Refused requests of one minute; ``overflow_count`` is how many did not fit the list. No event says an address."""

    minute: Time
    instance: str
    items: list[RefusalCount]
    strangers: list[StrangerCount] = []
    overflow_count: int = 0


refusals_counted = Event("gateway.refusals.counted", data=RefusalsCounted, summary="Requests refused in one minute")
