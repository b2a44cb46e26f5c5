"""Circuits: a target that fails at one type of event is left alone for a while, and then tried with one delivery."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

FIRST_WAIT = timedelta(minutes=1)
MAX_SUPPRESSED = timedelta(hours=17)  # as long as a delivery is tried that no circuit holds back
# A probe that nobody has sent by then is another one's turn. Longer than an attempt can take.
PROBE_LEASE = timedelta(minutes=2)
MAX_ERROR_CHARS = 300

State = Literal["closed", "open", "half_open", "releasing"]
BROKEN = ("open", "half_open")


@dataclass(frozen=True, slots=True)
class Policy:
    """When a circuit opens, and how long a target is left alone at the most after a failure."""

    failures: int = 3
    longest_wait: timedelta = timedelta(minutes=30)

    def wait(self, probes_failed: int) -> timedelta:
        """From a failure to the next probe: a minute, then each time twice as long."""
        grown: timedelta = FIRST_WAIT * 2 ** min(probes_failed, 16)
        return min(grown, self.longest_wait)


DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Circuit:
    """Of a target and an event's name. ``failed_at``: when the last failure was known.

    ``closed``: failures are counted. ``open``: nothing is sent before ``probe_at``. ``half_open``: the delivery
    ``probe_id`` is sent; if nobody has by ``probe_at``, another is. ``releasing``: what was held back is being sent.
    """

    target: int
    event_name: str
    site: str
    state: State
    failure_count: int
    failed_at: datetime
    error: str
    opened_at: datetime | None = None
    probes_failed: int = 0
    probe_at: datetime | None = None
    probe_id: int | None = None


class Attempted(Protocol):
    """What is known of an attempt. ``well`` None: it says nothing of the target, such as a mistake of ours."""

    @property
    def delivery_id(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def event_name(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def well(self) -> bool | None: ...
    @property
    def error(self) -> str | None: ...


@dataclass(slots=True)
class Seen:
    """What the attempts of one turn say of a target and an event's name.

    ``well``: one went well. ``failed``: one failed after that; they were under way at once, so they count as one
    failure. ``began_at``: when the last of those began.
    """

    target: int
    event_name: str
    site: str
    well: bool = False
    failed: bool = False
    began_at: datetime = datetime.min  # noqa: DTZ901 - replaced by the first failure
    error: str = ""
    delivery_ids: set[int] = field(default_factory=set)

    def add(self, one: Attempted) -> None:
        """Take in the next attempt, in the order in which they ended."""
        self.delivery_ids.add(one.delivery_id)
        if one.well:
            self.well, self.failed = True, False
        else:
            self.failed, self.began_at, self.error = True, one.at, (one.error or "")[:MAX_ERROR_CHARS]


def seen(attempts: Iterable[Attempted]) -> dict[tuple[int, str], Seen]:
    """What the attempts say, by target and event's name, in that order."""
    found: dict[tuple[int, str], Seen] = {}
    for one in attempts:
        if one.well is not None:
            key = (one.target, one.event_name)
            found.setdefault(key, Seen(*key, one.site)).add(one)
    return dict(sorted(found.items()))


def after(known: Circuit | None, said: Seen, now: datetime, policy: Policy) -> Circuit | None:
    """The circuit when this has been seen; None: there is nothing to remember."""
    if said.well:
        return _healed(known, said, now)
    if known is None:
        known = Circuit(said.target, said.event_name, said.site, "closed", 0, said.began_at, "")
    elif said.began_at < known.failed_at <= now:
        return known  # it was under way when the last failure was counted
    count, probed = known.failure_count + 1, known.probe_id in said.delivery_ids
    failed = replace(known, failure_count=count, failed_at=now, error=said.error)
    if known.state in BROKEN:
        if known.state == "half_open" and not probed:
            return failed
        probes = known.probes_failed + probed
        return replace(failed, state="open", probes_failed=probes, probe_id=None, probe_at=now + policy.wait(probes))
    if count < policy.failures:
        return failed
    return replace(failed, state="open", opened_at=now, probes_failed=0, probe_id=None, probe_at=now + policy.wait(0))


def _healed(known: Circuit | None, said: Seen, now: datetime) -> Circuit | None:
    """A success forgets all failures before it; what was held back is to be sent."""
    left = Circuit(said.target, said.event_name, said.site, "closed", 1, now, said.error) if said.failed else None
    if known is None or known.state == "closed":
        return left
    healed = replace(known, state="releasing", failure_count=0, probes_failed=0, probe_at=None, probe_id=None)
    return replace(healed, failure_count=1, failed_at=now, error=said.error) if said.failed else healed
