"""Who is there to be told. A target that stands for nobody now is left out; a level without any is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.tracker.domain.escalation import Target, Told
from services.tracker.domain.item import Item


@dataclass(frozen=True, slots=True)
class Duty:
    """The people of a site: by role those who are there, and by name those who are away, or have left.

    ``by_owner_role`` says which people an item's owner role stands for. A name or an owner role that nobody knows
    counts as somebody: items may be given to people without an account, and a channel may know them. So does a role
    while no people are known at all, which is before the tracker has learnt of them.
    """

    by_role: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_owner_role: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    away: frozenset[str] = frozenset()

    def find(self, item: Item, target: Target) -> Told | None:
        """Whom the target stands for; None: nobody is there."""
        match target.kind, target.name:
            case "channel", name:
                return Told("channel", name)
            case "role", name:
                known = self.by_role or self.away
                return _some("role", name, self.by_role.get(name, ())) if known else Told("role", name)
            case "item", "owner_role":
                people = self.by_owner_role.get(item.owner_role)
                return (
                    Told("owner_role", item.owner_role)
                    if people is None
                    else _some("owner_role", item.owner_role, people)
                )
            case "item", _:
                return self._person("assignee", item.assignee)
            case _, name:
                return self._person("user", name)

    def _person(self, kind: str, name: str | None) -> Told | None:
        return None if name is None or name in self.away else Told(kind, name, (name,))


def _some(kind: str, name: str, people: tuple[str, ...]) -> Told | None:
    return Told(kind, name, people) if people else None
