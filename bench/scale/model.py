"""Headgate as a model: what a request does one after another, on the machine of `clockwork`, with given demands.

Left out, since measurements did not ask for it: locks of one board, caches that fill, and the network (all was on one
machine). The order within a request: sender, gateway, NATS, the service that answers, NATS, the gateway again; beside
the answer the other service and the audit log get what was told.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from bench.figures import percentile
from bench.scale import demands
from bench.scale.clockwork import Consumer, Cost, Lock, Machine, Message, Process
from bench.scale.demands import AUDIT, COMMANDS_OF, EVENTS, SERVICE_OF, Demand, Demands
from bench.scale.points import CONNECTIONS, Measured, Point
from bench.scale.traffic import MIX

SENDERS = 2
ONE_ONLY = ("nats", "postgres", "audit")  # parts that do not grow with the services' processes
UNEVEN = 0.5
FITTING_S, HALVINGS = 4.0, 7
CROWDED = Point(4, CONNECTIONS, ("signal",))  # the one point of commands with several of each that demands come from
MIXED = Point(1, CONNECTIONS, MIX)  # the one point of several kinds


class Outcome(NamedTuple):
    """Requests a second with all their consequences, mean and 95th percentile of an answer's time, busy shares."""

    rate: float
    answer_ms: float
    p95_ms: float
    used: dict[str, float]


@dataclass(frozen=True, slots=True)
class Request:
    """On its way: to whom the answer goes."""

    kind: str
    demand: Demand
    gateway: Process
    end: Callable[[], None]


class Installation:
    """So many processes of each service (the audit log: one) on a machine of so many cores."""

    def __init__(
        self, found: Demands, processes: int, cores: float, *, few_questions: bool = False, seed: int = 1
    ) -> None:
        idle = sum(used * (1 if part in ONE_ONLY else processes) for part, used in found.idle.items())
        self._demand = {kind: found.of(kind, processes, cores, few=few_questions) for kind in SERVICE_OF}
        self._stretch, self._mixing = found.stretch(processes, cores), found.mixing
        self.machine, self._random = Machine(cores - idle - found.others, UNEVEN, seed), random.Random(seed)
        self._parts = {
            name: [Process(f"{name}-{number}") for number in range(processes)]
            for name in ("gateway", "governance", "tracker")
        }
        self._parts["senders"] = [Process(f"sender-{number}") for number in range(SENDERS)]
        audit, self._postgres, self._nats = Process("audit"), Process("postgres", many=True), Process("nats", many=True)
        self._parts |= {"audit": [audit], "postgres": [self._postgres], "nats": [self._nats]}
        head = Lock()
        self._durables = {name: self._consumer([audit], _nothing, head) for name in AUDIT}
        for service, other in demands.OTHER.items():
            self._durables[f"{service}-commands"] = self._consumer(self._parts[service], self._answer)
            self._durables[EVENTS[service]] = self._consumer(self._parts[other], _nothing)
        self._owed: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._took_s: list[float] = []

    def _consumer(
        self, replicas: list[Process], committed: Callable[[list[Request]], None], lock: Lock | None = None
    ) -> Consumer:
        return Consumer(self.machine, replicas, self._postgres, committed, lock)

    def closed(self, kinds: Sequence[str], connections: int, seconds: float) -> Outcome:
        """So many connections, each of which sends the next request when the last was answered; then all is applied."""
        self._mix(kinds)

        def send(connection: int, at: int) -> None:
            if self.machine.now < seconds:
                self.request(kinds[at % len(kinds)], connection, lambda: send(connection, at + 1))

        for connection in range(connections):
            send(connection, connection)
        return self._end()

    def open(self, rates: dict[str, float], seconds: float) -> Outcome:
        """Requests that arrive by chance (Poisson), so many a second of each kind, whether others wait or not."""
        self._mix(rates)

        def next_one(kind: str, number: int) -> None:
            after = self._random.expovariate(rates[kind])
            if self.machine.now + after < seconds:
                self.machine.delay(after, lambda: arrive(kind, number))

        def arrive(kind: str, number: int) -> None:
            self.request(kind, number, lambda: None)
            next_one(kind, number + 1)

        for kind in rates:
            next_one(kind, 0)
        return self._end(seconds)

    def _mix(self, kinds: Collection[str]) -> None:
        self.machine.stretch = 1.0 + self._mixing * (len(set(kinds)) > 1)

    def request(self, kind: str, connection: int, answered: Callable[[], None]) -> None:
        """One request; ``answered`` is called when its answer has arrived."""
        demand, run, began = self._demand[kind], self.machine.run, self.machine.now
        gateway = self._parts["gateway"][connection % len(self._parts["gateway"])]

        def end() -> None:
            self._took_s.append(self.machine.now - began)
            answered()

        def ask() -> None:
            asked = Request(kind, demand, gateway, end)
            if kind in COMMANDS_OF:
                message = Message(demand.own, self._stretched(demand.each), demand.wait_s, asked)
                self._durables[COMMANDS_OF[kind]].put(message)
            else:
                self._question(asked)

        def checked() -> None:
            run(self._nats, demand.nats.own_s / 2, ask)

        def enter() -> None:
            run(gateway, demand.gateway.own_s / 2, lambda: run(self._postgres, demand.gateway_postgres_s, checked))

        run(self._parts["senders"][connection % SENDERS], demand.sender_s, enter)

    def _question(self, asked: Request) -> None:
        run, own = self.machine.run, asked.demand.own
        replica = self._random.choice(self._parts[SERVICE_OF[asked.kind]])

        def read() -> None:
            run(self._postgres, own.postgres_s, lambda: self.machine.delay(asked.demand.wait_s, told))

        def told() -> None:
            self._answer([asked])

        run(replica, own.service_s, read)

    def _answer(self, asked: list[Request]) -> None:
        """What was committed together is told together, and wakes each gateway that has some of it once."""
        count = len(asked)
        for one in asked:
            self._beside(one.kind, one.demand)

        def tell() -> None:
            groups: defaultdict[str, list[Request]] = defaultdict(list)
            for one in asked:
                groups[one.gateway.name].append(one)
            for group in groups.values():
                self._receive(group)

        each_s = self._stretch * sum(one.demand.nats.each_s for one in asked) / count
        self.machine.run(self._nats, each_s + sum(one.demand.nats.own_s / 2 for one in asked), tell)

    def _receive(self, group: list[Request]) -> None:
        each_s = self._stretch * sum(one.demand.gateway.each_s for one in group) / len(group)

        def end() -> None:
            for one in group:
                one.end()

        self.machine.run(group[0].gateway, each_s + sum(one.demand.gateway.own_s / 2 for one in group), end)

    def _beside(self, kind: str, demand: Demand) -> None:
        """What is applied after the answer: the log's entries, what the other service takes, what the servers do."""
        self.machine.run(self._postgres, demand.rest_s, lambda: None)
        for durable, share in demand.beside.items():
            each = share.each if durable in AUDIT else self._stretched(share.each)  # the one audit log is not crowded
            for _ in range(self._whole((kind, durable), share.messages)):
                self._durables[durable].put(Message(share.own, each, demand.wait_s, None))  # a commit waits for a disk

    def _stretched(self, each: Cost) -> Cost:
        return Cost(each.service_s * self._stretch, each.postgres_s * self._stretch)

    def _whole(self, of: tuple[str, str], share: float) -> int:
        """A whole number now, so that in the end there is the share of each: 0.5 is one every second time."""
        self._owed[of] += share
        whole = int(self._owed[of] + 1e-9)
        self._owed[of] -= whole
        return whole

    def _end(self, at_least_s: float = 0.0) -> Outcome:
        while self.machine.step():
            pass
        now, took = max(self.machine.now, at_least_s), self._took_s or [0.0]
        used = {one.name: one.used_s / now for many in self._parts.values() for one in many}
        return Outcome(len(self._took_s) / now, sum(took) / len(took) * 1000, percentile(took, 0.95) * 1000, used)


def fitted(measured: Measured) -> Demands:
    """The demands, corrected so that the model is right at the points that they come from. Raises `KeyError`.

    First each kind of command by itself: transactions are somewhat smaller here than they were, and too dear therefore.
    Then crowding and mixing, which `CROWDED` and `MIXED` show.
    """
    found = demands.of(measured)
    for kind in tuple(found.commands):
        found = _halved(partial(_corrected, found, kind), measured, Point(1, CONNECTIONS, (kind,)))
    found = _halved(lambda crowding: replace(found, crowding=crowding), measured, CROWDED)
    return _halved(lambda mixing: replace(found, mixing=mixing), measured, MIXED)


def _corrected(found: Demands, kind: str, factor: float) -> Demands:
    return replace(found, commands=found.commands | {kind: found.commands[kind].times(0.5 + factor)})


def _halved(tried: Callable[[float], Demands], measured: Measured, point: Point) -> Demands:
    """With the number between 0 and 1 that gives the measured rate: the larger, the slower."""
    wanted, low, high = measured.middle(point).rate, 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = tried(middle)
        rate = Installation(found, point.processes, found.cores).closed(point.kinds, CONNECTIONS, FITTING_S).rate
        low, high = (low, middle) if rate < wanted else (middle, high)
    return tried((low + high) / 2)


def _nothing(_: list[Request]) -> None:
    """Nobody waits for it."""
