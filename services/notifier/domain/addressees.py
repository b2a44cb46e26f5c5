"""Whom a level of an escalation is for, as channels: people by their own, a channel by its name or all of the site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

ALL = "all"
MAX_NAMED = 20  # of those without a channel, in a sentence
_OTHER = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Addressee:
    """A target as the tracker told it: ``people`` are those that it stands for, where that is known."""

    kind: str
    name: str
    people: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Addressed:
    """The channels to send to, each once; and who has none, in words."""

    channel_ids: tuple[int, ...]
    without_channel: tuple[str, ...]

    @property
    def lacking(self) -> str:
        """A sentence about those without a channel; empty if there are none."""
        if not self.without_channel:
            return ""
        some = ", ".join(self.without_channel[:MAX_NAMED])
        more = len(self.without_channel) - MAX_NAMED
        return f"No active channel for: {some}{f' and {more} more' if more > 0 else ''}."


def channel_name(name: str) -> str:
    """What a channel is called that stands for somebody without an account: ``Ops Lead`` is ``ops-lead``."""
    return _OTHER.sub("-", name.lower()).strip("-")[:40]


def address(targets: Iterable[Addressee], own: Mapping[str, Sequence[int]], named: Mapping[str, int]) -> Addressed:
    """``own``: the channels of people, by their names; ``named``: those of the site that several people read.

    Who has no channel of their own, or no account at all, may have one of the site that is named after them.
    """
    found: dict[int, None] = {}
    lacking: dict[str, None] = {}
    for target in targets:
        for who, ids in _channels_of(target, own, named):
            found.update(dict.fromkeys(ids))
            if not ids:
                lacking[who] = None
    return Addressed(tuple(sorted(found)), tuple(lacking))


def _channels_of(
    target: Addressee, own: Mapping[str, Sequence[int]], named: Mapping[str, int]
) -> Iterator[tuple[str, Sequence[int]]]:
    """In words who is meant, each with their channels."""

    def called(name: str) -> Sequence[int]:
        return (named[name],) if name in named else ()

    if target.kind != "channel":
        for person in target.people:
            yield person, own.get(person) or called(channel_name(person))
        if not target.people:
            yield f"{target.kind.replace('_', ' ')} {target.name}", called(channel_name(target.name))
    elif target.name == ALL:
        yield "any channel of the site", tuple(named.values())
    else:
        yield f"the channel {target.name}", called(target.name)
