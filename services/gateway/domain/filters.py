"""Which events a subscriber hears: what it asked for, as far as its owner may see it, in as few filters as it takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from services.gateway.domain.scope import ALL


def matches(pattern: str, name: str) -> bool:
    """Whether a type such as ``*``, ``tracker.*``, ``tracker.item.*`` or ``tracker.item.opened`` means this event."""
    if pattern == ALL:
        return True
    return name.startswith(pattern[:-1]) if pattern.endswith(".*") else name == pattern


def names_of(types: Iterable[str], seen: Iterable[str]) -> frozenset[str]:
    """The events that the types mean, of those that may be seen."""
    wanted = tuple(types)
    return frozenset(name for name in seen if any(matches(pattern, name) for pattern in wanted))


def shortest(names: Collection[str], every: Collection[str]) -> list[str]:
    """The ends of filters for these names, sorted, no two of which overlap.

    ``>`` where they are all, ``tracker.>`` where they are all of a service, ``tracker.item.*`` where they are all of a
    noun, else the name itself.
    """
    if set(names) == set(every):
        return [">"] if names else []
    found = []
    for service in sorted({name.split(".")[0] for name in names}):
        mine, all_of_it = _of(f"{service}.", names), _of(f"{service}.", every)
        if mine == all_of_it:
            found.append(f"{service}.>")
            continue
        for noun in sorted({name.rpartition(".")[0] for name in mine}):
            few = _of(f"{noun}.", mine)
            found += [f"{noun}.*"] if few == _of(f"{noun}.", every) else sorted(few)
    return found


def _of(prefix: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if name.startswith(prefix))
