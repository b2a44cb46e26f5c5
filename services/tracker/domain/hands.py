"""An item goes from hand to hand: taken, given, handed over, let go. Each is noted with the item."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.tracker.domain.changes import Change, ChangeKind, change
from services.tracker.domain.item import Item, ItemStatus, add_note

SYSTEM = "system"  # the author of what runs give out


class NotPossible(Exception):
    """The item's state does not allow it; the message is a sentence that says why and what to do."""


def take(before: Item, actor: str, now: datetime) -> Change:
    """``actor`` takes an item that nobody has; what is theirs already stays as it is. Raises `NotPossible`."""
    _check_open(before)
    if before.assignee not in (None, actor):
        raise NotPossible(f"Item {before.id} is {before.assignee}'s; ask them to hand it over.")
    if before.assignee == actor:
        return change("taken", before, before, actor, now)
    return _by_person("taken", before, _given(before, actor, now, f"Taken by {actor}."), actor, now)


def give(before: Item, to: str, reason: str, now: datetime) -> Change:
    """A run gives an item that nobody has to somebody."""
    return change("assigned", before, _given(before, to, now, f"Given to {to}: {reason}"), SYSTEM, now)


def take_back(before: Item, status: ItemStatus, actor: str, now: datetime) -> Change:
    """What a run gave is taken back: nobody has the item again, and it has the ``status`` of before."""
    text = f"Taken back from {before.assignee}: {actor} undid the run that gave it."
    after = replace(before, assignee=None, status=status, completion_note=add_note(before.completion_note, now, text))
    return change("released", before, after, actor, now)


def hand_over(before: Item, to: str, reason: str, actor: str, now: datetime) -> Change:
    """The item changes hands. Raises `NotPossible`: nobody has it, or ``to`` has it already."""
    _check_open(before)
    if before.assignee is None:
        raise NotPossible(f"Nobody has item {before.id}, so it can't be handed over; assign it instead.")
    if before.assignee == to:
        raise NotPossible(f"Item {before.id} is {to}'s already.")
    text = f"Handed over from {before.assignee} to {to} by {actor}: {reason}"
    after = replace(before, assignee=to, completion_note=add_note(before.completion_note, now, text))
    return _by_person("handed_over", before, after, actor, now)


def release(before: Item, reason: str, actor: str, now: datetime) -> Change:
    """The item waits for somebody again; work in progress is pending again. Raises `NotPossible`: nobody has it."""
    _check_open(before)
    if before.assignee is None:
        raise NotPossible(f"Nobody has item {before.id}.")
    text = f"Let go by {actor}, was {before.assignee}'s{': ' + reason if reason else '.'}"
    after = replace(
        before,
        assignee=None,
        status="pending" if before.status == "in_progress" else before.status,
        completion_note=add_note(before.completion_note, now, text),
    )
    return _by_person("released", before, after, actor, now)


def _by_person(kind: ChangeKind, before: Item, after: Item, actor: str, now: datetime) -> Change:
    """A person has done something: if nobody had before, that is the response to the episode."""
    return change(kind, before, replace(after, responded_at=before.responded_at or now), actor, now)


def _given(before: Item, to: str, now: datetime, note: str) -> Item:
    return replace(
        before,
        assignee=to,
        status="in_progress" if before.status == "pending" else before.status,
        completion_note=add_note(before.completion_note, now, note),
    )


def _check_open(item: Item) -> None:
    if not item.is_active:
        raise NotPossible(f"Item {item.id} is resolved; it opens again when its rule fails.")
    if item.status == "done":
        raise NotPossible(f"Item {item.id} is done; set another status first if it is not.")
