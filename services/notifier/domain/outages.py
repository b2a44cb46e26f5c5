"""Outages of a target: from the first attempt that failed after one that went well, until the next that goes well.

A *mark* is one attempt in one number, so that marks sort by time and a repeat is the same number: twice the
microseconds since 1970, and one more if it went well. Of two at the same microsecond the good one counts as the later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def mark(at: datetime, *, well: bool) -> int:
    """The mark of an attempt whose end was known at this time."""
    return 2 * ((at - _START) // _MICROSECOND) + well


def time_of(number: int) -> datetime:
    """When the attempt of a mark was over."""
    return _START + (number // 2) * _MICROSECOND


@dataclass(frozen=True, slots=True)
class Span:
    """One outage; ``ended_at`` None: it lasts."""

    began_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be written: outages that there are not (their numbers), and those that there are, as they are now."""

    gone: tuple[int, ...]
    kept: tuple[Span, ...]

    def __bool__(self) -> bool:
        return bool(self.gone or self.kept)


def spans(marks: Sequence[int], since: datetime | None = None) -> list[Span]:
    """The outages that sorted marks show; ``since``: it was failing already before the first, from then on."""
    found: list[Span] = []
    began = since
    for one in marks:
        if one % 2:
            if began is not None:
                found.append(Span(began, time_of(one)))
                began = None
        elif began is None:
            began = time_of(one)
    return [*found, Span(began)] if began is not None else found


def changes(marks: Sequence[int], known: Mapping[int, Span]) -> Changes:
    """How the outages that are ``known``, by their numbers, differ from what the marks say.

    ``known`` are those that had not ended before the first mark; one that began before it goes on into the marks.
    """
    first = time_of(marks[0])
    since = next((one.began_at for one in known.values() if one.began_at < first), None)
    wanted = {one.began_at: one for one in spans(marks, since)}
    gone = tuple(number for number, one in known.items() if one.began_at not in wanted)
    same = set(known.values())
    return Changes(gone, tuple(one for one in wanted.values() if one not in same))


@dataclass(slots=True)
class Figures:
    """Sums over outages; ``lasted_s`` is over those that have ended."""

    incident_count: int = 0
    recovered_incidents: int = 0
    lasted_s: float = 0.0

    @property
    def unresolved_incidents(self) -> int:
        """Those that last: counted, and in no mean."""
        return self.incident_count - self.recovered_incidents

    @property
    def mttr_minutes(self) -> float | None:
        """The mean time to recovery; None if nothing has recovered, which is no zero."""
        return round(self.lasted_s / self.recovered_incidents / 60, 2) if self.recovered_incidents else None

    def add(self, other: Figures) -> None:
        """With those of another target: so the mean is one over incidents, not over targets."""
        self.incident_count += other.incident_count
        self.recovered_incidents += other.recovered_incidents
        self.lasted_s += other.lasted_s
