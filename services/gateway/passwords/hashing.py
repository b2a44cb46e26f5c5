"""Hashes passwords (argon2id, RFC 9106) in threads of low priority, a few at once, so that a storm starves nobody.

One hash takes 19 MiB and tens of milliseconds of a core: OWASP's cheat sheet on password storage, first choice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from libs.common.problems import TooMany

MEMORY_KIB, ITERATIONS, LANES = 19_456, 2, 1
SALT_BYTES, HASH_BYTES = 16, 32
MAX_WAITING, MAX_OF_PLACE = 32, 4
BUSY_S = 2
NICE = 15
# Of a password that nobody knows, by the numbers above: what is compared where there is none.
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$miiIep8PS46LNiUhkIrGGw$LR9zHmIuIuHggVK0/54UMnHsU0KSHnEdjwHE1ak8bw4"

T = TypeVar("T")


class Hashing:
    """``at_once``: how many are hashed at the same time; whoever comes when many wait is refused."""

    def __init__(self, at_once: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, "password", initializer=_step_back)
        self._turns = asyncio.Semaphore(at_once)
        self._waiting: Counter[str] = Counter()

    def stop_when_crowded(self, place: str) -> None:
        """Before anything is done for somebody who wants a turn: raises `TooMany` where too many wait already."""
        if self._waiting.get(place, 0) >= MAX_OF_PLACE or self._waiting.total() >= MAX_WAITING:
            raise TooMany(f"Too many sign in at this moment; try again in {BUSY_S} s.", retry_after_s=BUSY_S)

    @asynccontextmanager
    async def turn(self, place: str) -> AsyncIterator[None]:
        """One's turn to hash; ``place`` is where one comes from. Raises `TooMany` where too many wait already."""
        self.stop_when_crowded(place)
        self._waiting[place] += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]

    async def run(self, work: Callable[[], T]) -> T:
        """Do it in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def hashed(self, password: str) -> str:
        """A PHC string with a new salt."""
        return await self.run(lambda: hash_of(password))

    async def fits(self, password: str, phc: str) -> bool:
        """Whether the hash is of this password."""
        return await self.run(lambda: fits(password, phc))

    def close(self) -> None:
        """End the threads when they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def hash_of(password: str) -> str:
    """A PHC string (argon2id) of a password that is normalised."""
    kind = Argon2id(
        salt=os.urandom(SALT_BYTES), length=HASH_BYTES, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB
    )
    return kind.derive_phc_encoded(password.encode())


def fits(password: str, phc: str) -> bool:
    """Whether the hash is of this password; the numbers are those of the hash."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


def _step_back() -> None:
    """Let requests go before (Linux gives each thread a priority of its own; elsewhere it would be the process's)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
