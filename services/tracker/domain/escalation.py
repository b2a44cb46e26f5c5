"""Escalation as arithmetic: which step of its chain an item's escalation takes next, and when.

A *step* tells one level, for the first time (repeat 0) or again. Its time follows from when the steps before it were
due, so that ticks that come a little late add up to nothing; after a longer outage it counts from when things went on,
so that what was missed does not come all at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from services.tracker.domain.calendars import HORIZON, Calendar, NeverOpen
from services.tracker.domain.item import Item

# A step that is taken later than this after its time moves the times of those behind it.
LATE = timedelta(minutes=2)
# How soon a level that nobody is there for is looked at again.
LOOK_AGAIN = timedelta(minutes=5)
_STEPS = uuid.UUID("0d6bd3f5-5a40-5f7c-8f0c-6865616467a7")


@dataclass(frozen=True, slots=True)
class Target:
    """``kind`` is ``item``, ``role``, ``user`` or ``channel``; see the contract of the same name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Level:
    """A rung of the ladder; see the contract of the same name."""

    wait: timedelta
    targets: tuple[Target, ...]
    repeat: timedelta | None
    max_repeats: int
    on_empty: Literal["skip", "wait"]


@dataclass(frozen=True, slots=True)
class Chain:
    """Levels, and which items they are for; empty sets stand for all."""

    name: str
    rules: frozenset[str]
    priorities: frozenset[int]
    gates: frozenset[str]
    business: bool
    levels: tuple[Level, ...]

    def fits(self, item: Item) -> bool:
        """Whether the chain is for this item."""
        return (
            (not self.rules or item.rule_id in self.rules)
            and (not self.priorities or item.priority in self.priorities)
            and (not self.gates or item.gate in self.gates)
        )


@dataclass(frozen=True, slots=True)
class Told:
    """A target by its name, and the people that it stands for now, where they are known.

    ``kind`` is ``assignee``, ``owner_role``, ``role``, ``user`` or ``channel``.
    """

    kind: str
    name: str
    people: tuple[str, ...] = ()


Finder = Callable[[Item, Target], Told | None]


@dataclass(frozen=True, slots=True)
class Position:
    """How far an escalation is. ``level`` counts from 1 and is 0 before the first; ``repeat`` counts tellings again.

    ``level_at`` is the time of the level's first telling (before the first: of the start), ``told_at`` of its newest.
    ``reached`` is false while nobody of the level was there to be told.
    """

    level: int
    repeat: int
    level_at: datetime
    told_at: datetime
    reached: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A level's turn; ``repeat`` 0 is the first."""

    level: int
    repeat: int
    due_at: datetime

    def key(self, item: Item) -> uuid.UUID:
        """What makes it one: the same for the same item, episode, level and repeat, whoever takes it and when."""
        return uuid.uuid5(_STEPS, f"{item.id} {item.episode} {self.level} {self.repeat}")


@dataclass(frozen=True, slots=True)
class Climb:
    """What became of an escalation at one look: whom to tell of ``step``, if anybody; which steps were skipped.

    ``look_at`` is when to look again, None when the chain has come to its end. ``waiting``: its level has nobody.
    """

    position: Position
    look_at: datetime | None
    step: Step | None = None
    told: tuple[Told, ...] = ()
    skipped: tuple[Step, ...] = ()
    waiting: bool = False


def chain_of(chains: Sequence[Chain], item: Item) -> Chain | None:
    """The first chain that is for the item."""
    return next((chain for chain in chains if chain.fits(item)), None)


def begin(now: datetime) -> Position:
    """Before the first level."""
    return Position(0, 0, now, now, False)


def next_step(chain: Chain, position: Position, calendar: Calendar, now: datetime | None = None) -> Step | None:
    """The step behind a position: the level's repeat or the next level, what is due first; a tie is the next level's.

    If ``now`` the next level's turn has come, it goes before repeats that were missed. Behind a level that nobody was
    there for the next has nothing to wait for. None when all levels were told as often as they may be.
    """
    found: list[Step] = []
    if position.level < len(chain.levels):
        due_at = position.level_at
        if position.reached or position.level == 0:
            due_at = _after(chain, position.level_at, chain.levels[position.level].wait, calendar)
        up = Step(position.level + 1, 0, due_at)
        if now is not None and due_at <= now:
            return up
        found.append(up)
    if position.level:
        level = chain.levels[position.level - 1]
        if level.repeat is not None and position.repeat < level.max_repeats:
            due_at = _after(chain, position.told_at, level.repeat, calendar)
            found.append(Step(position.level, position.repeat + 1, due_at))
    return min(found, key=lambda step: (step.due_at, -step.level), default=None)


def climb(chain: Chain, item: Item, position: Position, calendar: Calendar, now: datetime, find: Finder) -> Climb:
    """Look at an escalation: take the step that is due, going over levels that nobody is there for.

    At most one step is told at a look.
    """
    skipped: list[Step] = []
    step = next_step(chain, position, calendar, now)
    while step is not None and step.due_at <= now:
        level = chain.levels[step.level - 1]
        told = tuple(found for target in level.targets if (found := find(item, target)) is not None)
        if not told and level.on_empty == "wait" and step.repeat == 0:  # else it would hold up the level behind
            return Climb(position, now + LOOK_AGAIN, skipped=tuple(skipped), waiting=True)
        position = _passed(position, step, now, reached=bool(told))
        if told:
            following = next_step(chain, position, calendar)
            look_at = following.due_at if following is not None else None
            return Climb(position, look_at, step, told, tuple(skipped))
        skipped.append(step)
        step = next_step(chain, position, calendar, now)
    return Climb(position, step.due_at if step is not None else None, skipped=tuple(skipped))


def _passed(position: Position, step: Step, now: datetime, *, reached: bool) -> Position:
    at = step.due_at if now - step.due_at <= LATE else now
    if step.repeat:
        return replace(position, repeat=step.repeat, told_at=at, reached=position.reached or reached)
    return Position(step.level, 0, at, at, reached)


def _after(chain: Chain, start: datetime, time: timedelta, calendar: Calendar) -> datetime:
    """So much later, on the calendar if the chain goes by it; a first level waits at least until it opens."""
    if not chain.business:
        return start + time
    try:
        return calendar.add(start, time) if time else calendar.next_open(start)
    except NeverOpen:
        return start + HORIZON  # so little working time that it never comes; the self-check shows it
