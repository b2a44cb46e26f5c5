"""What one request costs each part, from what was measured with one process of each: alone, and sixteen at once.

By the utilisation law (Denning and Buzen, 1978) the demand of a part is its busy time divided by the requests. A
consumer takes all that waits in one transaction, so its busy time is ``each * transactions + own * messages``; a
process that waits for sockets pays ``wake * wakes + own * requests``. Two measurements give both unknowns: with one
request at a time transactions and wakes are as many as requests need at most, with sixteen they are fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.scale.clockwork import Cost, Work
from bench.scale.points import CONNECTIONS, Found, Measured, Point

# The service that answers each kind, and the durable from which it takes the command (a question has none).
SERVICE_OF = {"signal": "governance", "verdict": "governance", "items": "tracker", "patch": "tracker"}
COMMANDS_OF = {"signal": "governance-commands", "verdict": "governance-commands", "patch": "tracker-commands"}
AUDIT = ("audit-events", "audit-records")
EVENTS = {"governance": "tracker-events", "tracker": "governance-events"}  # who else takes what the service tells
OTHER = {"governance": "tracker", "tracker": "governance"}
# Parts that pay for waking. The service that answers questions is one; as a consumer it pays for transactions.
AWAKE = ("gateway", "nats", "senders", "questions")
ROUNDS = 6


class Share(NamedTuple):
    """A durable that gets messages of a request beside its answer: how many for each, and what they cost."""

    messages: float
    own: Cost
    each: Cost


@dataclass(frozen=True, slots=True)
class Demand:
    """One kind of request: what it costs each part.

    ``each`` is what a transaction of the service's consumer costs beside its messages, ``answer`` a message (or a
    question). ``beside`` are the durables of the audit log and of the other service. ``wait_s`` is the rest of an
    answer's time when nobody else asks: disks, and the network of one machine.
    """

    work: dict[str, Work]
    gateway_postgres_s: float
    rest_s: float
    each: Cost
    answer: Cost
    beside: dict[str, Share]
    wait_s: float


@dataclass(frozen=True, slots=True)
class Demands:
    """All kinds, and what each process uses of a processor when nobody asks (of the servers: for each such process)."""

    kinds: dict[str, Demand]
    idle: dict[str, float]


# Simulates one kind with given demands and so many connections; says wakes for each request, by part of AWAKE.
Wakes = Callable[[Demands, str, int], dict[str, float]]


def of(measured: Measured, wakes: Wakes) -> Demands:
    """Fitted to the measurements with one process of each and one kind. Raises `KeyError` if one is missing.

    How often a process wakes was not measured: the model says it, and is asked again with what follows from it.
    """
    kinds, ends = {}, {}
    for kind in SERVICE_OF:
        alone, many = (measured.middle(Point(1, count, (kind,))) for count in (1, CONNECTIONS))
        kinds[kind], ends[kind] = _of(kind, alone, many), (alone, many)
    found = Demands(kinds, many.idle)
    for _ in range(ROUNDS):
        for kind, (alone, many) in ends.items():
            both = wakes(found, kind, 1), wakes(found, kind, CONNECTIONS)
            work = {part: _work(_part(kind, part), alone, many, both[0][part], both[1][part]) for part in AWAKE}
            found.kinds[kind] = replace(found.kinds[kind], work=work)
    return found


def _of(kind: str, alone: Found, many: Found) -> Demand:
    service = SERVICE_OF[kind]
    commands = COMMANDS_OF.get(kind, "")
    each, answer = _consumer(service, (commands,), alone, many)
    beside = _shares("audit", AUDIT, alone, many) | _shares(OTHER[service], (EVENTS[service],), alone, many)
    on_the_way_s = sum(
        _each(alone, part) for part in ("gateway", "postgres of gateway", service, f"postgres of {service}")
    )
    return Demand(
        work={part: Work(_each(many, _part(kind, part))) for part in AWAKE},
        gateway_postgres_s=_each(many, "postgres of gateway"),
        rest_s=_each(many, "postgres"),
        each=each,
        answer=answer,
        beside=beside,
        wait_s=max(0.0, alone.answer_ms / 1000 - on_the_way_s - _each(alone, "nats") / 2),
    )


def _part(kind: str, part: str) -> str:
    return SERVICE_OF[kind] if part == "questions" else part


def _each(found: Found, part: str) -> float:
    return found.cpu_s.get(part, 0.0) / found.count


def _consumer(service: str, durables: tuple[str, ...], alone: Found, many: Found) -> tuple[Cost, Cost]:
    """What a transaction and what a request costs the service and its PostgreSQL."""
    per = [sum(found.applied.get(name, (0, 0))[1] for name in durables) / found.count for found in (alone, many)]
    lines = [
        _line(_each(alone, part), _each(many, part), per[0], per[1]) for part in (service, f"postgres of {service}")
    ]
    return Cost(lines[0][0], lines[1][0]), Cost(lines[0][1], lines[1][1])


def _shares(service: str, durables: tuple[str, ...], alone: Found, many: Found) -> dict[str, Share]:
    """The same for durables that get no commands; their messages cost the same, whichever they come from."""
    messages = {name: many.applied.get(name, (0.0, 0.0))[0] / many.count for name in durables}
    total = sum(messages.values())
    if not total:
        return {}
    each, request = _consumer(service, durables, alone, many)
    own = Cost(request.service_s / total, request.postgres_s / total)
    return {name: Share(count, own, each) for name, count in messages.items()}


def _work(part: str, alone: Found, many: Found, wakes_alone: float, wakes_many: float) -> Work:
    wake_s, own_s = _line(_each(alone, part), _each(many, part), wakes_alone, wakes_many)
    return Work(own_s, wake_s)


def _line(alone_s: float, many_s: float, times_alone: float, times_many: float) -> tuple[float, float]:
    """Solve ``busy = each * times + own`` for both measurements; neither is below zero."""
    if times_alone - times_many <= 0.05 * times_alone or alone_s <= many_s:
        return 0.0, many_s  # as often as before: all is the requests'
    each = (alone_s - many_s) / (times_alone - times_many)
    own = many_s - each * times_many
    return (each, own) if own >= 0 else (many_s / times_many, 0.0)
