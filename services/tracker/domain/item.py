"""A remediation item as a value. Every change makes a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

NOTE_LIMIT = 4000  # characters; the same as the limit of a note that a person writes

RuleStatus = Literal["pass", "fail", "warning"]
ItemStatus = Literal["pending", "in_progress", "done", "blocked"]


@dataclass(frozen=True, slots=True)
class Item:
    """One row per (gate, site, subject, rule), for ever; ``id`` is 0 until it is stored.

    ``due_at`` = ``opened_at`` + ``sla_hours`` in every episode. ``completed_at`` is when the present claim was made.
    ``verified_at`` is when a run passed the rule; an active item has none.
    """

    id: int
    item_id: str
    gate: str
    site: str
    subject: str
    version: str
    rule_id: str
    rule_status: RuleStatus
    required: bool
    priority: int
    owner_role: str
    sla_hours: int
    due_at: datetime
    action: str
    reason: str
    detail: Mapping[str, Any]
    assignee: str | None
    status: ItemStatus
    completion_checked: bool
    completion_note: str
    completed_at: datetime | None
    verified_at: datetime | None
    is_active: bool
    episode: int
    opened_at: datetime
    gate_generated_at: datetime
    gate_run_id: int
    created_by: str
    updated_by: str
    created_at: datetime
    updated_at: datetime


_COLUMNS = tuple(one.name for one in fields(Item))


def to_item(row: Mapping[str, Any]) -> Item:
    """An item from a row by column names; columns of a newer version are left out."""
    return Item(**{name: row[name] for name in _COLUMNS})


def differences(before: Item, after: Item, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the named fields that differ, in the given order."""
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def add_note(note: str, when: datetime, text: str) -> str:
    """``note`` with a dated line added (UTC, to the minute). Past `NOTE_LIMIT` characters the oldest text goes."""
    line = f"[{when:%Y-%m-%d %H:%M} UTC] {text}"
    joined = f"{note}\n{line}" if note else line
    return joined if len(joined) <= NOTE_LIMIT else "…" + joined[-(NOTE_LIMIT - 1) :]
