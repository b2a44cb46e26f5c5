"""Who should do an item: by the role that its work asks for, then by the least open load.

A person's load is the sum over all open items of what each weighs: 1 (optional warning) to 4 (required failure), half
as much again if it is due within a day, twice as much if it is late. Loads are kept in halves, so that they stay whole.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Role = Literal["owner", "manager", "operator"]
Urgency = Literal["late", "soon", "later"]

ROLES: tuple[Role, ...] = ("owner", "manager", "operator")
OWNERS_WORK = frozenset({"Platform Owner", "Security Manager", "Release Manager", "DR Owner"})
SOON = timedelta(days=1)
_WEIGHTS = {1: 4, 2: 3, 3: 2}
_HALVES: dict[Urgency, int] = {"late": 4, "soon": 3, "later": 2}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose scope covers the site. ``load`` is in halves. ``limit``: open items at the most, None for any
    number. ``away_until``: the end of an absence that has begun, else None."""

    username: str
    role: Role
    open_items: int = 0
    load: int = 0
    limit: int | None = None
    away_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What of an item decides who gets it. ``due_at`` is None without a deadline, or while its clock is paused."""

    id: int
    owner_role: str
    priority: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """Who should do the work, and why; or why nobody can."""

    work: Work
    assignee: str | None
    reason: str


def urgency(due_at: datetime | None, now: datetime) -> Urgency:
    """How near a deadline is: past, within a day, or later (or there is none)."""
    if due_at is None or due_at > now + SOON:
        return "later"
    return "late" if due_at < now else "soon"


def weight(priority: int, how_near: Urgency) -> int:
    """What an open item adds to a load, in halves."""
    return _WEIGHTS.get(priority, 1) * _HALVES[how_near]


def preference(owner_role: str) -> tuple[tuple[Role, ...], ...]:
    """The roles that may do the work, the preferred ones first; those in one group are alike.

    Owners' work is for owners, then managers; operators get it last. All other work is for anybody.
    """
    return tuple((role,) for role in ROLES) if owner_role in OWNERS_WORK else (ROLES,)


def obstacle(person: Person | None, more: int) -> str | None:
    """Why somebody can't take one more item beside ``more`` that they are to get already; None: they can."""
    if person is None:
        return "is not responsible here any longer"
    if person.away_until is not None:
        return f"is away until {person.away_until:%Y-%m-%d %H:%M} UTC"
    if person.limit is not None and person.open_items + more >= person.limit:
        return f"has {person.open_items + more} open items, as many as the limit allows"
    return None


def propose(works: Iterable[Work], people: Sequence[Person], now: datetime) -> list[Proposal]:
    """A proposal for each work, in the given order; each adds to its assignee's load before the next is made.

    The least load wins, ties by name; so the order of ``people`` does not matter. Nobody who is away, or has as many
    open items as the limit allows, gets more.
    """
    room = _Room(people)
    return [room.take(work, weight(work.priority, urgency(work.due_at, now))) for work in works]


class _Room:
    """The people while proposals are made. A heap for each group of roles; entries with an old load are put right when
    they come up, since loads only grow."""

    def __init__(self, people: Sequence[Person]) -> None:
        self._people = {person.username: person for person in people}
        self._load = {person.username: person.load for person in people}
        self._open = {person.username: person.open_items for person in people}
        self._heaps: dict[tuple[Role, ...], list[tuple[int, str]]] = {}

    def take(self, work: Work, adds: int) -> Proposal:
        passed: list[str] = []
        for roles in preference(work.owner_role):
            found = self._least(roles)
            if found is not None:
                reason = self._why(found, roles, passed, work.owner_role)
                self._load[found] += adds
                self._open[found] += 1
                return Proposal(work, found, reason)
            passed += [self._nobody(role) for role in roles]
        return Proposal(work, None, f"Nobody can take it: {'; '.join(passed)}.")

    def _least(self, roles: tuple[Role, ...]) -> str | None:
        heap = self._heaps.get(roles)
        if heap is None:
            here = (p for p in self._people.values() if p.role in roles and p.away_until is None)
            heap = self._heaps[roles] = [(self._load[p.username], p.username) for p in here]
            heapq.heapify(heap)
        while heap:
            load, username = heap[0]
            if self._is_full(username):
                heapq.heappop(heap)
            elif load != self._load[username]:
                heapq.heapreplace(heap, (self._load[username], username))
            else:
                return username
        return None

    def _is_full(self, username: str) -> bool:
        limit = self._people[username].limit
        return limit is not None and self._open[username] >= limit

    def _why(self, username: str, roles: tuple[Role, ...], passed: Sequence[str], owner_role: str) -> str:
        who = self._people[username].role
        among = "them" if len(roles) > 1 else f"the {who}s"
        reason = f"{username} ({who}) has the least load of {among}: {in_items(self._load[username]):g}."
        if passed:
            return f"It is work of the {owner_role}, but {'; '.join(passed)}. {reason}"
        return reason

    def _nobody(self, role: Role) -> str:
        """Why no one of the role can take more."""
        all_ = [person for person in self._people.values() if person.role == role]
        if not all_:
            return f"no {role} is responsible here"
        away = sum(person.away_until is not None for person in all_)
        full = sum(person.away_until is None and self._is_full(person.username) for person in all_)
        parts = [f"{count} {what}" for count, what in ((away, "away"), (full, "at the limit")) if count]
        return f"no {role} is free ({', '.join(parts)})"


def in_items(halves: int) -> float:
    """A load as it is shown: 1 is an optional warning that is due in more than a day."""
    return halves / 2


def load_of(counts: Mapping[tuple[int, Urgency], int]) -> int:
    """A person's load in halves, from how many open items there are of each (priority, urgency)."""
    return sum(count * weight(priority, near) for (priority, near), count in counts.items())
