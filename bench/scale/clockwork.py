"""A machine of some cores in simulated time: processes that share them, queues, and transactions of many messages.

Whoever has work gets an equal share of the cores, at most one each: that is what a fair scheduler does. A process of
Python is one thread, so its own work waits in line; PostgreSQL works on as many things at once as it is given.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Done = Callable[[], None]
EPSILON_S = 1e-12


@dataclass
class Process:
    """Something that uses processors; one thread, or (``many``) as many as are asked for."""

    name: str
    many: bool = False
    busy: bool = False
    waiting: deque[tuple[float, Done]] = field(default_factory=deque)
    used_s: float = 0.0


class Machine:
    """Simulated time. All times are in seconds; work takes ``stretch`` times as long as it says.

    ``uneven``: and by chance up to such a share of it more or less, so that not all go in step for ever.
    """

    def __init__(self, cores: float, uneven: float = 0.0, seed: int = 1) -> None:
        self.cores, self.now, self.stretch, self._uneven = cores, 0.0, 1.0, uneven
        self._number, self._random = itertools.count(), random.Random(seed)
        # Kept by the service that each active piece will have got when it ends: all get the same, so a piece of s
        # seconds that begins when each has got g ends at g + s, whatever the share is in between.
        self._given = 0.0
        self._working: list[tuple[float, int, Process, float, Done]] = []
        self._later: list[tuple[float, int, Done]] = []

    def run(self, process: Process, seconds: float, done: Done) -> None:
        """Use processors for so long, then call ``done``."""
        if process.busy and not process.many:
            process.waiting.append((seconds, done))
        else:
            self._begin(process, seconds, done)

    def delay(self, seconds: float, done: Done) -> None:
        """Wait without using anything, such as for a disk."""
        heapq.heappush(self._later, (self.now + seconds, next(self._number), done))

    def step(self) -> bool:
        """Go on to what ends next. False: nothing is left."""
        if not self._working and not self._later:
            return False
        share = min(1.0, self.cores / len(self._working)) if self._working else 1.0
        ends = self.now + (self._working[0][0] - self._given) / share if self._working else float("inf")
        if self._later and self._later[0][0] <= ends:
            at, _, done = heapq.heappop(self._later)
            self._given += max(0.0, at - self.now) * share
            self.now = max(self.now, at)
            done()
            return True
        given, _, process, seconds, done = heapq.heappop(self._working)
        self.now, self._given = max(self.now, ends), max(self._given, given)
        process.used_s += seconds
        process.busy = False
        if process.waiting:
            self._begin(process, *process.waiting.popleft())
        done()
        return True

    def _begin(self, process: Process, seconds: float, done: Done) -> None:
        process.busy = True
        seconds *= self.stretch * self._random.uniform(1.0 - self._uneven, 1.0 + self._uneven)
        piece = (self._given + max(seconds, EPSILON_S), next(self._number), process, seconds, done)
        heapq.heappush(self._working, piece)


class Cost(NamedTuple):
    """Seconds of a service and of PostgreSQL."""

    service_s: float = 0.0
    postgres_s: float = 0.0

    def times(self, factor: float) -> Cost:
        """So many times as much."""
        return Cost(self.service_s * factor, self.postgres_s * factor)


class Message(NamedTuple):
    """What waits on a durable: its own cost, that of a transaction of such messages, and what that waits for disks."""

    own: Cost
    each: Cost
    wait_s: float
    told: Any


class Lock:
    """A row that only one transaction at a time may change, such as the head of the audit log."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[Done] = deque()

    def take(self, then: Done) -> None:
        """Call ``then`` as soon as it is free."""
        if self._held:
            self._waiting.append(then)
        else:
            self._held = True
            then()

    def release(self) -> None:
        """Whoever waits longest goes on."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._held = False


class Consumer:
    """Replicas that take all that waits in one transaction, one transaction after another (libs/common/loop.py)."""

    MOST = 500  # libs/common/pull.py

    def __init__(
        self,
        machine: Machine,
        replicas: list[Process],
        postgres: Process,
        committed: Callable[[list[Any]], None],
        lock: Lock | None = None,
    ) -> None:
        self._machine, self._postgres, self._committed = machine, postgres, committed
        self._lock = lock
        self._idle = deque(replicas)
        self._waiting: deque[Message] = deque()
        self._asked = False

    def put(self, message: Message) -> None:
        """A message arrives. What it told is handed to ``committed``, with all others of its transaction."""
        self._waiting.append(message)
        if not self._asked:
            self._asked = True
            self._machine.delay(0.0, self._begin)  # what arrives at the same moment is there

    def _begin(self) -> None:
        self._asked = False
        if not self._idle or not self._waiting:
            return
        # The server deals what has come to all who wait for messages.
        count = min(self.MOST, -(-len(self._waiting) // len(self._idle)))
        replica = self._idle.popleft()
        taken = [self._waiting.popleft() for _ in range(count)]
        service_s, postgres_s = (sum(one.own[part] + one.each[part] / count for one in taken) for part in (0, 1))
        wait_s = max(one.wait_s for one in taken)

        def end() -> None:
            self._idle.append(replica)
            if self._lock is not None:
                self._lock.release()
            self._committed([one.told for one in taken])
            self._begin()

        run, delay = self._machine.run, self._machine.delay

        def apply() -> None:
            run(replica, service_s, lambda: run(self._postgres, postgres_s, lambda: delay(wait_s, end)))

        if self._lock is not None:
            self._lock.take(apply)
        else:
            apply()
        self._begin()
