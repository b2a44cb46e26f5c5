"""What a calendar shows of an item: texts, and a name that stays the episode's own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.common.ical import lines, one_line

NAMES = uuid.UUID("0d3c8a1e-5b0e-4c39-9d6f-6a1c2f7e4b58")  # ours, made once: the names of entries follow from it
SITE_ITSELF = "site"  # the subject of what is judged of a whole site
# In characters, so that the largest feed stays far below what the bus carries.
SUMMARY_LIMIT, ACTION_LIMIT, REASON_LIMIT = 250, 500, 1000
# RFC 5545, 3.8.1.9: 1 is the highest, 5 medium, 9 the lowest.
_PRIORITIES = {1: 1, 2: 5, 3: 9}


@dataclass(frozen=True, slots=True)
class Due:
    """What a feed reads of an item with a deadline; the fields are the item's."""

    id: int
    episode: int
    site: str
    gate: str
    subject: str
    line: str
    version: str
    rule_id: str
    priority: int
    owner_role: str
    status: str
    due_at: datetime
    due_reason: str
    action: str
    reason: str
    labels: Sequence[str]
    opened_at: datetime
    created_at: datetime
    updated_at: datetime
    revision: int


def entry_id(item: Due) -> str:
    """A name that no other episode has, not one of another installation either, and that nothing changes."""
    made = uuid.uuid5(NAMES, f"{item.id} {item.created_at.isoformat()} {item.episode}")
    return f"{made}@headgate"


def summary(item: Due) -> str:
    """One line: priority, rule, and what it is about."""
    line = f" (line {item.line})" if item.line else ""
    about = item.site if item.subject == SITE_ITSELF else f"{item.subject}{line}, {item.site}"
    return one_line(f"Priority {item.priority}: {item.rule_id} ({about})", SUMMARY_LIMIT)


def description(item: Due) -> str:
    """What is to be done and why, and where to find the item."""
    version = f", version {item.version}" if item.version else ""
    parts = [
        lines(item.action, ACTION_LIMIT),
        f"Why: {lines(item.reason, REASON_LIMIT)}",
        f"Deadline set by hand: {one_line(item.due_reason, REASON_LIMIT)}" if item.due_reason else "",
        f"Item {item.id} of the gate {item.gate}{version}; {item.status.replace('_', ' ')}, for {item.owner_role}.\n"
        f"headgate items show {item.id} --site {item.site}",
    ]
    return "\n\n".join(part for part in parts if part)


def categories(item: Due) -> list[str]:
    """The site, the gate, and the item's labels."""
    return [item.site, item.gate, *item.labels]


def rank(priority: int) -> int:
    """An item's priority as calendars count it."""
    return _PRIORITIES.get(priority, 9)
