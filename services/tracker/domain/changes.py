"""A change of an item as a value: what it was, what it is now, and which fields those who listen are told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from services.tracker.domain.item import TOLD, Item, differences

# What the run of a gate does, and then what people do. ``judged`` is a failing run that said nothing new: stored, but
# neither told nor remembered. ``refused`` is a claim of done that a later run does not confirm.
ChangeKind = Literal[
    "opened", "updated", "reopened", "refused", "resolved", "judged",
    "patched", "paused", "resumed", "due_moved", "recounted", "assigned", "taken", "handed_over", "released",
    "retired", "commented",
]  # fmt: skip

_KEPT_ELSEWHERE = frozenset({"detail"})  # large, and the run that says it keeps it


@dataclass(frozen=True, slots=True)
class Change:
    """One item before and after; a new one has no ``before``. ``changed`` names the fields that are told.

    ``told`` is whether the ledger and those who listen hear of it.
    """

    kind: ChangeKind
    before: Item | None
    item: Item
    changed: tuple[str, ...]

    @property
    def told(self) -> bool:
        """Whether anything happened that somebody would want to know."""
        return self.before is None or bool(self.changed)

    def was(self) -> dict[str, Any]:
        """The changed fields as they were; nothing of a new item."""
        return _values(self.before, self.changed) if self.before is not None else {}

    def now(self) -> Mapping[str, Any]:
        """The changed fields as they are; all that are told of a new item."""
        return _values(self.item, TOLD if self.before is None else self.changed)


def _values(item: Item, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(item, name) for name in names if name not in _KEPT_ELSEWHERE}


def change(kind: ChangeKind, before: Item, after: Item, actor: str, now: datetime) -> Change:
    """The change from ``before`` to ``after``, stamped with its author and a new revision if it is one to tell of."""
    changed = differences(before, after, TOLD)
    if changed:
        after = replace(after, revision=before.revision + 1, updated_by=actor, updated_at=now)
    return Change(kind, before, after, changed)


def change_by_person(kind: ChangeKind, before: Item, after: Item, actor: str, now: datetime) -> Change:
    """The same for what a person does: the first thing in an episode is the response to it."""
    if before.is_active and before.responded_at is None and after != before:
        after = replace(after, responded_at=now)
    return change(kind, before, after, actor, now)


def answered(before: Item, actor: str, now: datetime) -> Change | None:
    """What a person's comment does to an item: the first thing that is said or done in an episode is the response.

    None: somebody has responded before, or the episode is over. Nothing that is told changes, so no tag grows stale.
    """
    if not before.is_active or before.responded_at is not None:
        return None
    return change("commented", before, replace(before, responded_at=now), actor, now)
