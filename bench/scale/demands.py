"""What one request costs each part, from what was measured: alone, and sixteen at once.

By the utilisation law (Denning and Buzen, 1978) the demand of a part is its busy time divided by the requests. A
consumer takes all that waits in one transaction, its outcomes go to a gateway together, and what those wake comes
together, too. So busy time is ``each * transactions + own * messages`` in the service, in PostgreSQL, in NATS and in
the gateway, and two measurements, of small and of large transactions, give both unknowns.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import NamedTuple

from bench.scale.clockwork import Cost
from bench.scale.points import CONNECTIONS, Found, Measured, Point

# The service that answers each kind, and the durable from which it takes the command (a question has none).
SERVICE_OF = {"signal": "governance", "verdict": "governance", "items": "tracker", "patch": "tracker"}
COMMANDS_OF = {"signal": "governance-commands", "verdict": "governance-commands", "patch": "tracker-commands"}
AUDIT = ("audit-events", "audit-records")
EVENTS = {"governance": "tracker-events", "tracker": "governance-events"}  # who else takes what the service tells
OTHER = {"governance": "tracker", "tracker": "governance"}
QUESTION = "items"


class Part(NamedTuple):
    """Seconds of one part for a request itself, and for a transaction that has it."""

    own_s: float
    each_s: float = 0.0

    def times(self, factor: float) -> Part:
        """So many times as much."""
        return Part(self.own_s * factor, self.each_s * factor)


class Share(NamedTuple):
    """A durable that gets messages of a request beside its answer: how many for each, and what they cost."""

    messages: float
    own: Cost
    each: Cost

    def times(self, factor: float) -> Share:
        """As many messages that cost so many times as much."""
        return Share(self.messages, self.own.times(factor), self.each.times(factor))


@dataclass(frozen=True, slots=True)
class Demand:
    """One kind of request: what it costs each part.

    ``each`` is what a transaction of the service's consumer costs beside its messages, ``own`` a message (or a
    question). ``beside`` are the durables of the audit log and of the other service. ``wait_s`` is the rest of an
    answer's time when nobody else asks: disks, and the network of one machine.
    """

    sender_s: float
    gateway: Part
    gateway_postgres_s: float
    nats: Part
    rest_s: float
    own: Cost
    each: Cost
    beside: dict[str, Share]
    wait_s: float

    def times(self, factor: float) -> Demand:
        """So many times as much of all processors."""
        return Demand(
            sender_s=self.sender_s * factor,
            gateway=self.gateway.times(factor),
            gateway_postgres_s=self.gateway_postgres_s * factor,
            nats=self.nats.times(factor),
            rest_s=self.rest_s * factor,
            own=self.own.times(factor),
            each=self.each.times(factor),
            beside={durable: share.times(factor) for durable, share in self.beside.items()},
            wait_s=self.wait_s,
        )


@dataclass(frozen=True, slots=True)
class Demands:
    """All kinds of commands, questions by how many processes there are of each, and what else `model` needs.

    Questions come in no transactions. How many of them a process finds when it wakes follows from too much, so what
    they cost is taken from the measurement with as many processes; 0 is that of one at a time, which counts where few
    come at once. ``idle``: seconds a second of each part when nobody asks; ``others``: of all that is no part.
    ``crowding``: processes that share a core push each other out of its caches, and what happens once for a transaction
    takes longer, by so much for each set of processes more on the ``cores`` on which was measured. ``mixing``: where
    kinds take turns, all work takes longer by so much, since a part finds the other kind's code and rows in the caches.
    """

    commands: dict[str, Demand]
    questions: dict[int, Demand]
    idle: dict[str, float]
    cores: float
    others: float
    crowding: float = 0.0
    mixing: float = 0.0

    def of(self, kind: str, processes: int, cores: float, *, few: bool) -> Demand:
        """The demand of one kind, with so many processes of each on so many cores; ``few`` questions at once."""
        if kind != QUESTION:
            return self.commands[kind]
        if few:
            return self.questions[0]
        crowd = processes * self.cores / cores
        return self.questions[max(count for count in self.questions if 0 < count <= max(1.0, crowd))]

    def stretch(self, processes: int, cores: float) -> float:
        """How much longer takes what happens once for a transaction."""
        return 1.0 + self.crowding * max(0.0, processes * self.cores / cores - 1.0)


def of(measured: Measured) -> Demands:
    """Commands fitted to one process of each, questions to each number. Raises `KeyError` for a missing point."""

    def middle(processes: int, connections: int, kind: str) -> Found:
        return measured.middle(Point(processes, connections, (kind,)))

    commands = {kind: _of(kind, middle(1, 1, kind), middle(1, CONNECTIONS, kind)) for kind in COMMANDS_OF}
    alone = middle(1, 1, QUESTION)
    counts = sorted({point.processes for point in measured.points.values()})
    questions = {count: _of(QUESTION, alone, middle(count, CONNECTIONS, QUESTION)) for count in counts}
    questions[0] = _of(QUESTION, alone, alone)
    others = statistics.median(measured.middle(point).others for point in measured.points.values())
    idle = middle(1, CONNECTIONS, "signal").idle
    return Demands(commands, questions, idle, float(measured.machine["cores"]), max(0.0, others))


def _of(kind: str, alone: Found, many: Found) -> Demand:
    service, commands = SERVICE_OF[kind], (COMMANDS_OF.get(kind, ""),)
    own, each = _consumer(service, commands, alone, many)
    path = ("gateway", "postgres of gateway", service, f"postgres of {service}")
    on_the_way_s = sum(_each(alone, part) for part in path) + _each(alone, "nats") / 2
    return Demand(
        sender_s=_each(many, "senders"),
        gateway=_part("gateway", commands, alone, many),
        gateway_postgres_s=_each(many, "postgres of gateway"),
        nats=_part("nats", commands, alone, many),
        rest_s=_each(many, "postgres"),
        own=own,
        each=each,
        beside=_beside("audit", AUDIT, alone, many) | _beside(OTHER[service], (EVENTS[service],), alone, many),
        wait_s=max(0.0, alone.answer_ms / 1000 - on_the_way_s),
    )


def _each(found: Found, part: str) -> float:
    return found.cpu_s.get(part, 0.0) / found.count


def _part(part: str, durables: tuple[str, ...], alone: Found, many: Found) -> Part:
    """Solve ``busy = each * transactions + own * requests`` for both measurements; neither is below zero."""
    small, large = (
        sum(found.applied.get(name, (0, 0))[1] for name in durables) / found.count for found in (alone, many)
    )
    alone_s, many_s = _each(alone, part), _each(many, part)
    if small - large <= 0.05 * small or alone_s <= many_s:
        return Part(many_s)  # transactions as small as before: all is the requests'
    each_s = (alone_s - many_s) / (small - large)
    own_s = many_s - each_s * large
    return Part(own_s, each_s) if own_s >= 0 else Part(0.0, many_s / large)


def _consumer(service: str, durables: tuple[str, ...], alone: Found, many: Found) -> tuple[Cost, Cost]:
    """What a request and what a transaction costs the service and its PostgreSQL."""
    both = [_part(part, durables, alone, many) for part in (service, f"postgres of {service}")]
    return Cost(both[0].own_s, both[1].own_s), Cost(both[0].each_s, both[1].each_s)


def _beside(service: str, durables: tuple[str, ...], alone: Found, many: Found) -> dict[str, Share]:
    """The same for durables that get no commands; their messages cost the same, whichever they come from."""
    messages = {name: many.applied.get(name, (0.0, 0.0))[0] / many.count for name in durables}
    total = sum(messages.values())
    if not total:
        return {}
    request, each = _consumer(service, durables, alone, many)
    own = Cost(request.service_s / total, request.postgres_s / total)
    return {name: Share(count, own, each) for name, count in messages.items() if count}
