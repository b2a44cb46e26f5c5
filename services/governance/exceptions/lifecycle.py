"""What waivers and accepted baselines have in common: one person asks, another one decides, and either may end it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from glob import escape
from typing import Any, Generic, TypeVar

import asyncpg
from prometheus_client import Counter

from libs.common.contracts.base import Event
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Tx
from services.governance.recheck import recheck

T = TypeVar("T")
STATES = ("requested", "approved", "declined", "withdrawn", "revoked")
REQUESTS = Counter(
    "approval_requests",
    "What became of requests to approve waivers and baselines; one that is rolled back and done again counts twice",
    ["status"],
)
for _state in STATES:  # shown at zero, so that the first one is an increase
    REQUESTS.labels(_state)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to end one before its day: what it is then, who hears it, from which states, and whether only the one who
    asked for it may (``own``).
    """

    state: str
    event: Event
    own: bool
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lifecycle(Generic[T]):
    """``noun`` and ``long_noun`` name it in sentences; its number is the first column. Statements take that first;
    ``decide`` and ``finish`` then the state, who, when and why. ``tell`` emits an event about a row, and about what it
    was before.
    """

    noun: str
    long_noun: str
    select: str
    lock: str
    decide: str
    finish: str
    tell: Callable[[Tx, Event, Any, Any], T]

    async def locked(self, tx: Tx, number: int, *states: str) -> asyncpg.Record:
        """The row, which nobody else changes until this transaction ends. Raises `NotFound`, and `Conflict` unless it
        is in one of the states and its time is not over.
        """
        row = await tx.connection.fetchrow(self.lock, number, tx.site)
        if row is None:
            raise NotFound(f"There is no {self.long_noun} {number} in this site.")
        if row["state"] not in states:
            raise Conflict(f"The {self.noun} {number} is {row['state']} already.", state=row["state"])
        if row["ends_at"] <= tx.now:
            raise Conflict(f"The {self.noun} {number} ended at {row['ends_at'].isoformat()}; ask for a new one.")
        return row

    async def decided(self, tx: Tx, row: asyncpg.Record, state: str, reason: str, event: Event) -> T:
        """Write down what was decided of a row that is `locked`, and tell it."""
        done = await tx.connection.fetchrow(self.decide, row[0], state, tx.actor, tx.now, reason)
        return self.tell(tx, event, done, row)

    async def decline(self, event: Event, tx: Tx, number: int, reason: str) -> T:
        """Say no. Raises `NotFound`, `Conflict`."""
        row = await self.locked(tx, number, "requested")
        return await self.decided(tx, row, "declined", reason, event)

    async def end(self, way: Way, tx: Tx, number: int, reason: str) -> T:
        """End it before its day: a GO that rests on it is judged again.

        Raises `NotFound`, `Conflict`, and `Forbidden` where only who asked for it may.
        """
        await self.look_again(tx, number)
        row = await self.locked(tx, number, *way.of)
        if way.own and row["requested_by"] != tx.actor:
            raise Forbidden(
                f"{row['requested_by']} asked for this {self.noun}; who may approve {self.noun}s can revoke it."
            )
        done = await tx.connection.fetchrow(self.finish, number, way.state, tx.actor, tx.now, reason)
        return self.tell(tx, way.event, done, row)

    async def look_again(self, tx: Tx, number: int) -> None:
        """Have the GOs of its subject judged again, before the row is locked: so nobody waits in a circle."""
        known = await tx.connection.fetchrow(self.select, number, tx.site)
        if known is not None:
            # A subject may hold what is special in a pattern, so it is escaped.
            await recheck(tx, site=tx.site, subjects=escape(known["subject"]), gate=known["gate"])
