"""Reads of the audit log: counted, so that the log knows who has looked into it."""

from __future__ import annotations

from libs.common.contracts.base import Event, Open, Time


class LogRead(Open):
    """How often a user was answered by a route that shows entries."""

    who: str
    route: str
    count: int


class LogReadsCounted(Open):
    """Reads of one minute; ``overflow_count`` is how many did not fit the list."""

    minute: Time
    instance: str
    items: list[LogRead]
    overflow_count: int = 0


log_reads_counted = Event("gateway.log_reads.counted", data=LogReadsCounted, summary="Who read the audit log")
