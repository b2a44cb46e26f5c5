"""Which bodies the audit log itself says were removed: an entry without one is believed only by a later entry.

Written from docs/audit-log.md alone and not from the service's code, as `libs.client.verify`.
"""

from __future__ import annotations

import heapq
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

TYPE, SOURCE = "headgate.audit.bodies.erased.v1", "/headgate/audit"
LEAST_AGE = timedelta(days=89)  # 90 days, less one, since two clocks are compared
ON_ITS_WAY = timedelta(hours=1)  # for so long the entry that tells of a removal may not have been in the log yet

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def moment(text: str) -> datetime:
    """A time with its zone. Raises ValueError."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no zone")
    return value


class _Told(NamedTuple):
    """What an entry says has gone. Ordered by where that begins."""

    first_seq: int
    last_seq: int
    seq: int
    prefix: str
    before: int

    def covers(self, seq: int, type_: str, recorded: int) -> bool:
        return seq < self.seq and type_.startswith(self.prefix) and type_ != TYPE and recorded < self.before


@dataclass(frozen=True, slots=True)
class Untold:
    """The first entry whose body is gone without a word. ``beyond``: what tells of it may lie behind the last entry
    that was looked at; ``count``: of how many that can be said.
    """

    seq: int
    beyond: bool
    count: int


@dataclass(slots=True)
class Erasures:
    """Entries without a body, and what others say of them, noted as they pass by, whichever way round they come.

    An entry without a body takes some 30 bytes.
    """

    told: list[_Told] = field(default_factory=list)
    newest: int = 0
    seqs: array[int] = field(default_factory=lambda: array("q"))
    recorded: array[int] = field(default_factory=lambda: array("q"))
    erased: array[int] = field(default_factory=lambda: array("q"))
    types: array[int] = field(default_factory=lambda: array("I"))
    names: dict[str, int] = field(default_factory=dict)

    def note(self, entry: Mapping[str, Any]) -> None:
        """An entry whose own columns and link were checked. Raises ValueError, KeyError or TypeError."""
        recorded = moment(entry["recorded_at"])
        self.newest = max(self.newest, _micros(recorded))
        if entry.get("payload") is not None:
            if entry["type"] == TYPE and entry["source"] == SOURCE and (told := _told(entry, recorded)) is not None:
                self.told.append(told)
        elif entry.get("erased_at"):
            self.seqs.append(entry["seq"])
            self.recorded.append(_micros(recorded))
            self.erased.append(_micros(moment(entry["erased_at"])))
            self.types.append(self.names.setdefault(entry["type"], len(self.names)))

    def untold(self) -> Untold | None:
        """The first that nothing tells of, once all have passed; one that never can be told goes first."""
        names = list(self.names)
        order = range(len(self.seqs))
        coming, active = sorted(self.told, reverse=True), list[tuple[int, _Told]]()
        beyond: list[int] = []
        for at in order if not self.seqs or self.seqs[0] <= self.seqs[-1] else reversed(order):
            seq, type_, recorded = self.seqs[at], names[self.types[at]], self.recorded[at]
            while coming and coming[-1].first_seq <= seq:
                one = coming.pop()
                heapq.heappush(active, (one.last_seq, one))
            while active and active[0][0] < seq:
                heapq.heappop(active)
            if any(one.covers(seq, type_, recorded) for _, one in active):
                continue
            if self.erased[at] < self.newest - ON_ITS_WAY // _MICROSECOND:
                return Untold(seq, False, 1)
            beyond.append(seq)
        return Untold(beyond[0], True, len(beyond)) if beyond else None


def _told(entry: Mapping[str, Any], recorded: datetime) -> _Told | None:
    try:
        data = json.loads(entry["payload"])["data"]
        first, last, name = data["first_seq"], data["last_seq"], data["retention_class"]
        before = moment(data["recorded_before"])
        if not type(first) is type(last) is int or before > recorded - LEAST_AGE:
            return None
        return _Told(first, last, entry["seq"], "" if name == "default" else "headgate." + name, _micros(before))
    except (KeyError, TypeError, ValueError):
        return None


def _micros(value: datetime) -> int:
    return (value - _EPOCH) // _MICROSECOND
