"""What changes of items add to the measures that KPIs are read from. Pure sums, so that nothing is ever counted again.

A measure is a number for each (site, gate, owner role, rule), some also for each hour or day (``bucket``, UTC) or
assignee.
*Stock* is what there is now: a change takes its item as it was away and adds it as it is. *Flow* is what happened on a
day, and only ever grows. An item of a retired subject is not active, and so no work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from services.tracker.domain.changes import Change
from services.tracker.domain.item import Item

NO_BUCKET = datetime(1970, 1, 1, tzinfo=UTC)
STOCK = (
    "total", "active", "pending", "in_progress", "blocked", "done", "open", "critical_open", "unassigned_open",
    "paused_open", "no_sla_open", "opened_s",
)  # fmt: skip
FLOW = (
    "opened", "reopened", "refused", "resolved", "resolve_s", "lead_s", "sla_met", "sla_missed", "responded",
    "response_s", "backlog",
)  # fmt: skip
# Stock by time: open items by the hour and the day in which they are due (as long as their clock runs) and the day on
# which they opened, all items by the day on which they were claimed or found done.
DUE, DUE_ON, OPEN_SINCE, COMPLETED = "due", "due_on", "open_since", "completed"
ASSIGNED = "assigned"  # open items by assignee


class Delta(NamedTuple):
    """An amount that is added to a measure: items, or seconds where the name ends in ``_s``."""

    site: str
    gate: str
    owner_role: str
    rule_id: str
    measure: str
    bucket: datetime
    assignee: str
    amount: int


def hour_of(at: datetime) -> datetime:
    """The beginning of its hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """The beginning of its day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def is_open(item: Item) -> bool:
    """Whether there is still something to do."""
    return item.is_active and item.status != "done"


def deltas(changes: Iterable[Change]) -> list[Delta]:
    """What the changes add up to; measures that come out even are left out."""
    sums: Counter[Delta] = Counter()
    for change in changes:
        for sign, item in ((-1, change.before), (1, change.item)):
            if item is not None:
                for found in stock(item):
                    sums[found._replace(amount=0)] += sign * found.amount
        for found in flow(change):
            sums[found._replace(amount=0)] += found.amount
    return [key._replace(amount=amount) for key, amount in sorted(sums.items()) if amount]


def stock(item: Item) -> Iterator[Delta]:
    """What an item is, as far as it is counted."""
    yield _one(item, "total")
    if item.completed_at is not None:
        yield _one(item, COMPLETED, day_of(item.completed_at))
    if not item.is_active:
        return
    yield _one(item, "active")
    yield _one(item, item.status)
    if not is_open(item):
        return
    yield _one(item, "open")
    yield _one(item, "opened_s", amount=int(item.opened_at.timestamp()))
    yield _one(item, OPEN_SINCE, day_of(item.opened_at))
    if item.rule_status == "fail" and item.required:
        yield _one(item, "critical_open")
    if item.assignee is None:
        yield _one(item, "unassigned_open")
    else:
        yield _one(item, ASSIGNED, assignee=item.assignee)
    if item.paused_at is not None:
        yield _one(item, "paused_open")
    elif item.due_at is None:
        yield _one(item, "no_sla_open")
    else:
        yield _one(item, DUE, hour_of(item.due_at))
        yield _one(item, DUE_ON, day_of(item.due_at))


def flow(change: Change) -> Iterator[Delta]:
    """What happened, on the day on which it did."""
    before, item = change.before, change.item
    if grown := is_open(item) - (before is not None and is_open(before)):
        yield _one(item, "backlog", day_of(item.updated_at), grown)
    if change.kind in ("opened", "reopened"):
        anew = before is None or before.retired_at is not None  # a subject that came back is no fix that did not hold
        yield _one(item, "opened" if anew else "reopened", day_of(item.opened_at))
    elif change.kind == "refused":
        yield _one(item, "refused", day_of(item.gate_generated_at))
    elif change.kind == "resolved" and item.verified_at is not None and item.completed_at is not None:
        day = day_of(item.verified_at)
        yield _one(item, "resolved", day)
        yield _one(item, "resolve_s", day, _seconds(item.opened_at, item.verified_at))
        yield _one(item, "lead_s", day, _seconds(item.opened_at, item.completed_at))
        if item.due_at is not None:
            yield _one(item, "sla_met" if item.completed_at <= item.due_at else "sla_missed", day)
    if item.responded_at is not None and (before is None or before.responded_at is None):
        yield _one(item, "responded", day_of(item.responded_at))
        yield _one(item, "response_s", day_of(item.responded_at), _seconds(item.opened_at, item.responded_at))


def _seconds(start: datetime, end: datetime) -> int:
    """From start to end; 0 if clocks disagree."""
    return max(0, int((end - start).total_seconds()))


def _one(item: Item, measure: str, bucket: datetime = NO_BUCKET, amount: int = 1, assignee: str = "") -> Delta:
    return Delta(item.site, item.gate, item.owner_role, item.rule_id, measure, bucket, assignee, amount)
