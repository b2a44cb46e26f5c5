"""Headgate as a model: what a request does one after another, on the machine of `clockwork`, with given demands.

Left out, since measurements did not ask for it: locks of one board, caches that fill, and the network (all was on one
machine). The order within a request: sender, gateway, NATS, the service that answers, NATS, the gateway again; beside
the answer the other service and the audit log get what was told.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.figures import percentile
from bench.scale import demands
from bench.scale.clockwork import Consumer, Machine, Message, Process, Work
from bench.scale.demands import AUDIT, AWAKE, COMMANDS_OF, EVENTS, SERVICE_OF, Demand, Demands
from bench.scale.points import Measured

SENDERS = 2
ONE_ONLY = ("nats", "postgres", "audit")  # parts that do not grow with the services' processes
FITTING_S = 4.0


class Outcome(NamedTuple):
    """Requests a second with all their consequences, mean and 95th percentile of an answer's time, busy shares."""

    rate: float
    answer_ms: float
    p95_ms: float
    used: dict[str, float]


class Installation:
    """So many processes of each service (the audit log: one) on a machine of so many cores."""

    def __init__(self, found: Demands, processes: int, cores: float, seed: int = 1) -> None:
        idle = sum(used * (1 if part in ONE_ONLY else processes) for part, used in found.idle.items())
        self.demands, self.machine = found, Machine(cores - idle)
        self._random = random.Random(seed)
        self._parts = {
            name: [Process(f"{name}-{number}") for number in range(processes)]
            for name in ("gateway", "governance", "tracker")
        }
        self._parts["senders"] = [Process(f"sender-{number}") for number in range(SENDERS)]
        audit, self._postgres, self._nats = Process("audit"), Process("postgres", many=True), Process("nats")
        self._parts |= {"audit": [audit], "postgres": [self._postgres], "nats": [self._nats]}
        durables = {name: [audit] for name in AUDIT}
        for service, other in demands.OTHER.items():
            durables |= {f"{service}-commands": self._parts[service], EVENTS[service]: self._parts[other]}
        self._durables = {name: self._consumer(replicas) for name, replicas in durables.items()}
        self._owed: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._took_s: list[float] = []

    def _consumer(self, replicas: list[Process]) -> Consumer:
        return Consumer(self.machine, replicas, self._postgres, lambda _: None)

    def closed(self, kinds: Sequence[str], connections: int, seconds: float) -> Outcome:
        """So many connections, each of which sends the next request when the last was answered; then all is applied."""

        def send(connection: int, at: int) -> None:
            if self.machine.now < seconds:
                self.request(kinds[at % len(kinds)], connection, lambda: send(connection, at + 1))

        for connection in range(connections):
            send(connection, connection)
        return self._end()

    def open(self, rates: dict[str, float], seconds: float) -> Outcome:
        """Requests that arrive by chance (Poisson), so many a second of each kind, whether others wait or not."""

        def arrive(kind: str, number: int) -> None:
            if self.machine.now >= seconds:
                return
            self.request(kind, number, _nothing)
            self.machine.delay(self._random.expovariate(rates[kind]), lambda: arrive(kind, number + 1))

        def begin(kind: str) -> None:
            self.machine.delay(self._random.expovariate(rates[kind]), lambda: arrive(kind, 0))

        for kind in rates:
            begin(kind)
        return self._end()

    def wakes(self) -> dict[str, float]:
        """How often each part of `AWAKE` woke for a request; of the services that answer questions, the tracker."""
        parts = {part: self._parts["tracker" if part == "questions" else part] for part in AWAKE}
        return {part: sum(one.wakes for one in many) / len(self._took_s) for part, many in parts.items()}

    def request(self, kind: str, connection: int, answered: Callable[[], None]) -> None:
        """One request; ``answered`` is called when its answer has arrived."""
        demand, run, began = self.demands.kinds[kind], self.machine.run, self.machine.now
        gateway = self._parts["gateway"][connection % len(self._parts["gateway"])]
        visit, hop = _visit(demand.work["gateway"], 3 if kind in COMMANDS_OF else 2), _visit(demand.work["nats"], 2)

        def end() -> None:
            self._took_s.append(self.machine.now - began)
            answered()

        def back() -> None:
            run(self._nats, hop, lambda: run(gateway, visit, end))

        def applied() -> None:
            back()
            self._beside(kind, demand)

        def ask() -> None:
            if kind not in COMMANDS_OF:
                self._question(demand, SERVICE_OF[kind], back)
                return
            run(gateway, visit, _nothing)  # that it is stored
            self._durables[COMMANDS_OF[kind]].put(Message(demand.answer, demand.each, demand.wait_s, applied))

        def checked() -> None:
            run(self._nats, hop, ask)

        def enter() -> None:
            run(gateway, visit, lambda: run(self._postgres, Work(demand.gateway_postgres_s), checked))

        run(self._parts["senders"][connection % SENDERS], demand.work["senders"], enter)

    def _question(self, demand: Demand, service: str, back: Callable[[], None]) -> None:
        run, visit = self.machine.run, _visit(demand.work["questions"], 2)
        replica = self._random.choice(self._parts[service])

        def read() -> None:
            run(self._postgres, Work(demand.answer.postgres_s), told)

        def told() -> None:
            self.machine.delay(demand.wait_s, lambda: run(replica, visit, back))

        run(replica, visit, read)

    def _beside(self, kind: str, demand: Demand) -> None:
        """What is applied after the answer: the log's entries, what the other service takes, what the servers do."""
        self.machine.run(self._postgres, Work(demand.rest_s), _nothing)
        for durable, share in demand.beside.items():
            for _ in range(self._whole((kind, durable), share.messages)):
                self._durables[durable].put(Message(share.own, share.each, 0.0, _nothing))

    def _whole(self, of: tuple[str, str], share: float) -> int:
        """A whole number now, so that in the end there is the share of each: 0.5 is one every second time."""
        self._owed[of] += share
        whole = int(self._owed[of] + 1e-9)
        self._owed[of] -= whole
        return whole

    def _end(self) -> Outcome:
        while self.machine.step():
            pass
        now, took = self.machine.now, self._took_s
        used = {one.name: one.used_s / now for many in self._parts.values() for one in many}
        return Outcome(len(took) / now, sum(took) / len(took) * 1000, percentile(took, 0.95) * 1000, used)


def fitted(measured: Measured) -> Demands:
    """The demands that make this model use of each part what was measured. Raises `KeyError` for a missing point."""
    cores = float(measured.machine["cores"])

    def wakes(found: Demands, kind: str, connections: int) -> dict[str, float]:
        installation = Installation(found, 1, cores)
        installation.closed((kind,), connections, FITTING_S)
        return installation.wakes()

    return demands.of(measured, wakes)


def _visit(work: Work, visits: int) -> Work:
    """One of so many visits of a request: its own work is spread, waking is paid each time."""
    return Work(work.own_s / visits, work.wake_s)


def _nothing() -> None:
    """Nobody waits for it."""
