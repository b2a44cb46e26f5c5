"""A remediation item as a value. Every change makes a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

LABELS_LIMIT = 20  # of an item
NOTE_LIMIT = 4000  # characters; the same as the limit of a note that a person writes

RuleStatus = Literal["pass", "fail", "warning"]
ItemStatus = Literal["pending", "in_progress", "done", "blocked"]


@dataclass(frozen=True, slots=True)
class By:
    """Who may change a field: a ``run``, a ``person``. ``told``: those who listen hear of a change of it."""

    who: tuple[str, ...]
    told: bool = True


RUN, PERSON, BOTH = By(("run",)), By(("person",)), By(("run", "person"))
RUN_UNTOLD, BOTH_UNTOLD = By(("run",), told=False), By(("run", "person"), told=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One row per (gate, site, subject, line, rule), for ever; ``id`` is 0 until it is stored.

    ``due_at`` is ``opened_at`` plus ``sla_hours`` of working time plus what was paused, unless a person set it
    (``due_by_hand``, ``due_reason``); without ``sla_hours`` there is no deadline. While ``paused_at`` is set the clock
    stands still; ``pauses`` holds begin and end of the episode's earlier pauses, one after the other.
    ``completed_at`` is when the present claim was made. ``verified_at`` is when a run passed the rule, ``retired_at``
    when its subject was retired; an active item has neither. ``responded_at``: when a person first did something about
    the episode, or commented. ``revision`` counts the changes that are told. Statements and events take their columns
    from here: a field that says nothing never changes.
    """

    id: int
    item_id: Annotated[str, RUN]
    gate: str
    site: str
    subject: str
    version: Annotated[str, RUN]
    rule_id: str
    rule_status: Annotated[RuleStatus, RUN]
    required: Annotated[bool, RUN]
    priority: Annotated[int, RUN]
    owner_role: Annotated[str, RUN]
    sla_hours: Annotated[int | None, RUN]
    due_at: Annotated[datetime | None, BOTH]
    action: Annotated[str, RUN]
    reason: Annotated[str, RUN]
    detail: Annotated[Mapping[str, Any], RUN]
    assignee: Annotated[str | None, PERSON]
    status: Annotated[ItemStatus, BOTH]
    completion_checked: Annotated[bool, BOTH]
    completion_note: Annotated[str, BOTH]
    completed_at: Annotated[datetime | None, BOTH]
    verified_at: Annotated[datetime | None, RUN]
    is_active: Annotated[bool, RUN]
    episode: Annotated[int, RUN]
    opened_at: Annotated[datetime, RUN]
    gate_generated_at: Annotated[datetime, RUN_UNTOLD]
    gate_run_id: Annotated[int, RUN_UNTOLD]
    created_by: str
    updated_by: Annotated[str, BOTH_UNTOLD]
    created_at: datetime
    updated_at: Annotated[datetime, BOTH_UNTOLD]
    line: str = ""
    revision: Annotated[int, BOTH_UNTOLD] = 1
    responded_at: Annotated[datetime | None, BOTH_UNTOLD] = None
    labels: Annotated[list[str], PERSON] = field(default_factory=list)
    retired_at: Annotated[datetime | None, RUN] = None
    due_by_hand: Annotated[bool, BOTH] = False
    due_reason: Annotated[str, BOTH] = ""
    paused_at: Annotated[datetime | None, BOTH] = None
    pause_reason: Annotated[str, BOTH] = ""
    pauses: Annotated[Sequence[datetime], BOTH_UNTOLD] = ()


COLUMNS = tuple(one.name for one in fields(Item))


_BY: dict[str, By] = {
    name: mark
    for name, hint in get_type_hints(Item, include_extras=True).items()
    for mark in getattr(hint, "__metadata__", ())
}


# The fields that may change at all, and those of them whose change is told.
CHANGEABLE = tuple(_BY)
TOLD = tuple(name for name, mark in _BY.items() if mark.told)


def set_by(who: str) -> tuple[str, ...]:
    """The fields that a ``run`` or a ``person`` may change, in their order."""
    return tuple(name for name, mark in _BY.items() if who in mark.who)


def is_overdue(item: Item, now: datetime) -> bool:
    """Whether an open item is past its deadline. Without a deadline, or while its clock is paused, none is.

    Statements that count say the same: see `services.tracker.sla`.
    """
    late = item.due_at is not None and item.due_at < now
    return late and item.is_active and item.status != "done" and item.paused_at is None


def to_item(row: Mapping[str, Any]) -> Item:
    """An item from a row by column names; columns of a newer version are left out."""
    return Item(**{name: row[name] for name in COLUMNS})


def differences(before: Item, after: Item, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the named fields that differ, in the given order."""
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def add_note(note: str, when: datetime, text: str) -> str:
    """``note`` with a dated line added (UTC, to the minute). Past `NOTE_LIMIT` characters the oldest text goes."""
    line = f"[{when:%Y-%m-%d %H:%M} UTC] {text}"
    joined = f"{note}\n{line}" if note else line
    return joined if len(joined) <= NOTE_LIMIT else "…" + joined[-(NOTE_LIMIT - 1) :]
