"""How much of each subscription is sent at once, so that a slow or dead receiver takes nothing from the others.

A lane's window grows with each success, and shrinks to one when an attempt fails. Lanes that fail share half of the
slots at the most: however many receivers hang, the other half is there for those that answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

FIRST_WINDOW = 2
MAX_WINDOW = 16


@dataclass(slots=True)
class Lane:
    """One subscription: ``served`` is the turn in which something of it was last taken."""

    window: int = FIRST_WINDOW
    failing: bool = False
    in_flight: int = 0
    served: int = 0


@dataclass(slots=True)
class Lanes:
    """All lanes of a process; ``slots`` are how many attempts it makes at once."""

    slots: int
    in_flight: int = 0
    _turn: int = 0
    _lanes: dict[int, Lane] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many attempts may begin now."""
        return self.slots - self.in_flight

    def rooms(self) -> Iterator[tuple[int, int, int]]:
        """Of each lane that is known: its number, how much of it may begin now, and its last turn."""
        failing = sum(lane.in_flight for lane in self._lanes.values() if lane.failing)
        left = max(self.slots // 2 - failing, 0)
        for number, lane in sorted(self._lanes.items(), key=lambda pair: pair[1].served):
            room = max(lane.window - lane.in_flight, 0)
            if lane.failing:
                room = min(room, left)
                left -= room
            yield number, room, lane.served

    def turn(self) -> None:
        """A new turn begins."""
        self._turn += 1

    def begin(self, number: int) -> None:
        """An attempt begins."""
        lane = self._lanes.setdefault(number, Lane())
        lane.in_flight += 1
        lane.served = self._turn
        self.in_flight += 1

    def end(self, number: int, *, well: bool) -> None:
        """An attempt has ended."""
        lane = self._lanes[number]
        lane.in_flight -= 1
        self.in_flight -= 1
        lane.failing = not well
        lane.window = min(lane.window + 1, MAX_WINDOW) if well else 1
