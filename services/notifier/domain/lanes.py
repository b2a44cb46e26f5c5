"""How much of each lane is sent at once, so that a slow or dead receiver takes nothing from the others.

A lane is a subscription, or a channel that is sent something straight.

A lane's window grows with each success, and shrinks to one when an attempt fails. A lane that does well holds some more
than its window, so that nothing waits for the database between two attempts. Lanes that fail share half of the slots at
the most: however many receivers hang, the other half is there for those that answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

FIRST_WINDOW = 2
MAX_WINDOW = 16
AHEAD = 4  # windows that a lane with the full window holds

T = TypeVar("T")


@dataclass(slots=True)
class Lane(Generic[T]):
    """``waiting`` is taken and not begun; ``served`` the turn in which something was last taken.

    ``most``: how far its window grows.
    """

    window: int = FIRST_WINDOW
    most: int = MAX_WINDOW
    failing: bool = False
    sending: int = 0
    served: int = 0
    waiting: deque[T] = field(default_factory=deque)

    @property
    def held(self) -> int:
        """What is taken and not over."""
        return self.sending + len(self.waiting)

    @property
    def room(self) -> int:
        """How much more may be taken."""
        depth = self.window * AHEAD if self.window == MAX_WINDOW else self.window
        return max(depth - self.held, 0)


@dataclass(slots=True)
class Lanes(Generic[T]):
    """All lanes of a process; ``slots`` are how many attempts it makes at once."""

    slots: int
    _turn: int = 0
    _lanes: dict[int, Lane[T]] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many attempts may begin now, and so how much may be taken: what does not begin keeps others waiting."""
        return max(self.slots - sum(lane.sending for lane in self._lanes.values()), 0)

    def rooms(self) -> Iterator[tuple[int, int, int]]:
        """Of each lane that is known: its number, how much of it may be taken now, and its last turn."""
        left = max(self.slots // 2 - sum(lane.held for lane in self._lanes.values() if lane.failing), 0)
        for number, lane in sorted(self._lanes.items(), key=lambda pair: pair[1].served):
            room = lane.room
            if lane.failing:
                room = min(room, left)
                left -= room
            yield number, room, lane.served

    def turn(self) -> None:
        """A new turn begins."""
        self._turn += 1

    def take(self, number: int, one: T, most: int = MAX_WINDOW) -> None:
        """Something of a lane was taken; it waits until it is `next`. At most ``most`` of the lane are sent at once."""
        lane = self._lanes.setdefault(number, Lane())
        lane.most = most
        lane.waiting.append(one)
        lane.served = self._turn

    def next(self) -> Iterator[tuple[int, T]]:
        """What begins now: one of each lane, then again, as windows and slots allow. Each counts as begun."""
        free = self.free
        ready = deque((number, lane) for number, lane in self._lanes.items() if lane.waiting)
        while free > 0 and ready:
            number, lane = ready.popleft()
            if lane.sending < lane.window:
                lane.sending += 1
                free -= 1
                yield number, lane.waiting.popleft()
                if lane.waiting:
                    ready.append((number, lane))

    def end(self, number: int, *, well: bool) -> list[T]:
        """An attempt has ended; returns what is to be given back, since the lane fails from here on."""
        lane = self._lanes[number]
        lane.sending -= 1
        lane.failing = not well
        lane.window = min(lane.window + 1, lane.most) if well else 1
        return [] if well else self._emptied(lane)

    def give_back(self) -> list[T]:
        """All that is taken and not begun; it is held no more."""
        return [one for lane in self._lanes.values() for one in self._emptied(lane)]

    @staticmethod
    def _emptied(lane: Lane[T]) -> list[T]:
        waiting = list(lane.waiting)
        lane.waiting.clear()
        return waiting
