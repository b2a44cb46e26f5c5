"""Who has read the audit log, counted per reader, route and minute, and told to the log itself once a minute.

The log holds this as an event like any other, and nobody reads the log to write it: so there is no end of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from libs.common.contracts.gateway.log_reads import LogRead, LogReadsCounted, log_reads_counted
from services.gateway.minutes import Minutes


class LogReads(Minutes[tuple[str, str]]):
    """See `Minutes`; a row is reader and route."""

    event = log_reads_counted

    def count(self, who: str, route: str) -> None:
        """Count one answer that showed something of the log."""
        self.add((who, route))

    def told(self, minute: datetime, rows: Mapping[tuple[str, str], int], overflow_count: int) -> LogReadsCounted:
        """The event's data."""
        items = [LogRead(who=who, route=route, count=count) for (who, route), count in rows.items()]
        return LogReadsCounted(
            minute=minute, instance=self.running.instance, items=items, overflow_count=overflow_count
        )
