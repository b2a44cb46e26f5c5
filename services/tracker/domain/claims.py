"""What a person may do to an item: assign it, move it, note on it, claim it done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.tracker.domain.changes import Change, change_by_person
from services.tracker.domain.item import LABELS_LIMIT, Item, ItemStatus


class TooManyLabels(Exception):
    """The item would have more than `LABELS_LIMIT` labels."""


class EpisodeEnded(Exception):
    """The item's rule passes, so its status is no longer a person's to set."""


@dataclass(frozen=True, slots=True)
class Patch:
    """The fields that a person sent; None was not sent. An empty ``assignee`` means nobody.

    Labels are removed first, then added.
    """

    assignee: str | None = None
    status: ItemStatus | None = None
    completion_checked: bool | None = None
    completion_note: str | None = None
    add_labels: Sequence[str] = ()
    remove_labels: Sequence[str] = ()


def apply_patch(before: Item, patch: Patch, actor: str, now: datetime) -> Change:
    """What the patch does to the item; raises `EpisodeEnded`, `TooManyLabels`.

    Status and check are reconciled: done alone also checks, another status alone unchecks, and where both are sent
    the check wins (checked is done; done but unchecked is in progress). ``completed_at`` is the time of the claim:
    set when the item becomes done, left alone while it stays done, cleared when the claim is taken back.
    """
    checked = before.completion_checked
    status = patch.status or before.status
    if patch.completion_checked is not None:
        checked = patch.completion_checked
    elif patch.status is not None:
        checked = patch.status == "done"
    if checked:
        status = "done"
    elif status == "done":
        status = "in_progress"
    if not before.is_active and (status, checked) != (before.status, before.completion_checked):
        raise EpisodeEnded
    after = replace(
        before,
        assignee=before.assignee if patch.assignee is None else patch.assignee.strip() or None,
        status=status,
        completion_checked=checked,
        completion_note=before.completion_note if patch.completion_note is None else patch.completion_note.strip(),
        completed_at=(before.completed_at or now) if status == "done" else None,
        labels=sorted(set(before.labels) - set(patch.remove_labels) | set(patch.add_labels)),
    )
    if len(after.labels) > LABELS_LIMIT:
        raise TooManyLabels
    return change_by_person("patched", before, after, actor, now)
