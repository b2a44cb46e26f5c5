"""Kinds of resources, such as ``tracker.item``: the first two words of what is declared about them."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Command, Event
from libs.common.problems import Invalid
from libs.common.resources import kind_of


@cache
def _kinds() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for contract in CONTRACTS.values():
        for declared in contract.by_name.values():
            if isinstance(declared, Command | Event):
                found[declared.name.rpartition(".")[0]].append(declared.type)
    return {kind: sorted(types) for kind, types in sorted(found.items())}


@cache
def _meant() -> dict[str, list[str]]:
    found = {kind: [*types] for kind, types in _kinds().items()}
    for contract in CONTRACTS.values():
        for command in contract.commands:
            if command.kind:
                found[command.name.rpartition(".")[0]].remove(command.type)
                found[kind_of(command)].append(command.type)
    return found


def types_about(kind: str) -> list[str]:
    """The types of all events about a kind of resource, and of the commands that their contracts say to be about it,
    some of which have another noun. Raises `Invalid` for one that there is not.
    """
    types_of(kind)
    return _meant()[kind]


def types_of(kind: str) -> list[str]:
    """The types of all commands and events about a kind of resource. Raises `Invalid` for one that there is not."""
    try:
        return _kinds()[kind]
    except KeyError:
        service = kind.partition(".")[0]
        known = [one for one in _kinds() if one.startswith(f"{service}.")] or sorted(CONTRACTS)
        raise Invalid(
            f"There is no kind of resource {kind}; some are: {', '.join(known)}.",
            errors=[{"field": "resource_type", "message": "no such kind, such as tracker.item"}],
        ) from None
