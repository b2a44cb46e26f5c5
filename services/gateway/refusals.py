"""Refused requests (401, 403, 429), counted per caller, route and minute, and told once a minute.

The event names users. Who is not known has an address only: strangers are counted together there, and by address in a
record that goes to the audit log and to nobody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from libs.common import records
from libs.common.contracts.gateway.refusals import RefusalCount, RefusalsCounted, StrangerCount, refusals_counted
from libs.common.service import Staged
from services.gateway.minutes import Minutes, name_of

# Strangers have as many addresses as they like; what is refused to somebody known must be seen all the same.
KEPT_FOR_NAMES = 100
STATUSES = frozenset({401, 403, 429})
STRANGER = "address:"
Row = tuple[str, str, int]


class Refusals(Minutes[Row]):
    """See `Minutes`; a row is caller, route and status."""

    event = refusals_counted

    def count(self, who: str, route: str, status: int) -> None:
        """Count one refused request."""
        self.add((who, route, status), KEPT_FOR_NAMES if who.startswith("address:") else 0)

    def told(self, minute: datetime, rows: Mapping[Row, int], overflow_count: int) -> RefusalsCounted:
        """The event's data."""
        strangers: Counter[tuple[str, int]] = Counter()
        for (who, route, status), count in rows.items():
            if who.startswith(STRANGER):
                strangers[route, status] += count
        return RefusalsCounted(
            minute=minute,
            instance=self.running.instance,
            items=_items({row: count for row, count in rows.items() if not row[0].startswith(STRANGER)}),
            strangers=[StrangerCount(route=r, status=s, count=n) for (r, s), n in strangers.items()],
            overflow_count=overflow_count,
        )

    def beside(self, minute: datetime, rows: Mapping[Row, int]) -> list[Staged]:
        """The strangers by their addresses."""
        items = _items({row: count for row, count in rows.items() if row[0].startswith(STRANGER)})
        if not items:
            return []
        told = RefusalsCounted(minute=minute, instance=self.running.instance, items=items)
        return [records.told(self.event, told, subject=name_of(minute), outcome="refused", now=self.running.clock())]


def _items(rows: Mapping[Row, int]) -> list[RefusalCount]:
    return [RefusalCount(who=w, route=r, status=s, count=n) for (w, r, s), n in rows.items()]
