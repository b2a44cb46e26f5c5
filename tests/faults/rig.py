"""A running Headgate to do harm to: processes, twins of the services, load, faults, and the check at the end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy.embedded import free_ports
from deploy.local.options import Options
from deploy.local.process import ServiceProcess
from deploy.local.servers import is_ready
from deploy.local.stack import LocalStack, silent
from libs.common.contracts import SERVICES
from libs.common.topology import ACK_WAIT_S, Topology, durables
from tests.faults.checker import Poison, check, tally
from tests.faults.driver import Driver
from tests.faults.messages import Tap
from tests.faults.world import drain, read_world

SERVERS = ("postgres", "nats")
NEVER_S = 120.0  # a part that is not back by then will not come back
SHORT_ACK_WAIT_S = 3


@dataclass
class Fault:
    """One fault: when (seconds from the start of the run), on what, and how long until it all worked again."""

    kind: str
    part: str
    at_s: float
    recovered_s: float | None = None
    alone: bool = True

    def line(self) -> str:
        """For people."""
        back = "did not come back" if self.recovered_s is None else f"works again after {self.recovered_s:.1f} s"
        return f"{self.at_s:7.1f} s  {self.kind:<18} {self.part:<12} {back}"


@dataclass
class Verdict:
    """What a run came to."""

    seed: int
    scenario: str
    seconds: float
    faults: list[Fault]
    answers: dict[str, int]
    lost: int
    doubled: int
    poison: int
    replayed: int
    problems: list[str]
    notes: list[str] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        """As a line of JSON."""
        return asdict(self)


class Rig:
    """Use as an async context manager, from the main thread (child processes follow the thread that made them)."""

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        *,
        programs: Mapping[str, Sequence[str]] | None = None,
        options: Options | None = None,
        wait_s: int = 10,
        say: bool = False,
    ) -> None:
        self.folder, self.rng, self._say, self._wait_s = folder, rng, say, wait_s
        self.faults: list[Fault] = []
        self.poison: list[Poison] = []
        self.replayed = 0
        self.deaths: list[str] = []
        self.twins: dict[str, ServiceProcess] = {}
        self._twin_ports: dict[str, int] = {}
        self.stack = LocalStack(
            folder / "data",
            env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"},
            options=options,
            show=self._line,
            programs=programs,
        )
        self.topology = Topology(self.stack.options.namespace)
        self.began = time.monotonic()
        self.driver: Driver
        self.tap: Tap

    async def __aenter__(self) -> Rig:
        try:
            await asyncio.to_thread(self.stack.start)
            await asyncio.to_thread(self.stack.wait_ready)
            self.driver = Driver([self.stack.gateway_url], self.stack.token, wait_s=self._wait_s)
            self.tap = await Tap.open(self.stack.servers.nats_url, self.topology)
        except BaseException:
            await asyncio.to_thread(self.stack.stop)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(Exception):
            await self.tap.close()
        await self.no_twins()
        await asyncio.to_thread(self.stack.stop)

    def _line(self, name: str, line: str) -> None:
        # A part that ends by itself is a finding, unless a server was killed while the part was starting.
        if line.startswith("ended (") and "signal 9" not in line:
            self.deaths.append(f"{name} {line}")

    def record(self, fault: Fault) -> Fault:
        """Keep a fault and show it."""
        self.faults.append(fault)
        if self._say:
            print(fault.line(), flush=True)
        return fault

    def now_s(self) -> float:
        """Seconds since this rig was made."""
        return time.monotonic() - self.began

    async def recovery_s(self, part: str, since: float) -> float | None:
        """Seconds from ``since`` (monotonic) until the part is ready and does its work; None if it never does."""
        names = SERVICES if part in SERVERS or part == "all" else (part,)
        probes = ("governance", "tracker", "audit") if part in SERVERS or part == "all" else (part,)
        while time.monotonic() - since < NEVER_S:
            states = [await asyncio.to_thread(self.stack.ready, name) for name in names]
            if all(states) and all([await self.driver.works(probe) for probe in probes]):
                return time.monotonic() - since
            await asyncio.sleep(0.05)
        return None

    async def kill(self, part: str, *, alone: bool = True) -> Fault:
        """Kill -9 a service or server; its supervisor starts it again."""
        # Fresh to the supervisor: else it would wait longer after each death, as it should with a broken part.
        await asyncio.to_thread(self.stack.resume, part)
        fault = Fault("kill -9", part, self.now_s(), alone=alone)
        since = time.monotonic()
        await asyncio.to_thread(self.stack.kill, part)
        fault.recovered_s = await self.recovery_s(part, since)
        return self.record(fault)

    async def kill_backend(self) -> Fault:
        """Kill -9 one of Postgres's children: the server then ends all sessions and recovers."""
        children = psutil.Process(self.stack.pids["postgres"]).children()
        fault = Fault("kill -9 a backend", "postgres", self.now_s())
        since = time.monotonic()
        self.rng.choice(children).kill()
        fault.recovered_s = await self.recovery_s("postgres", since)
        return self.record(fault)

    async def kill_all(self) -> Fault:
        """Kill -9 everything at once."""
        for name in (*SERVERS, *SERVICES):
            await asyncio.to_thread(self.stack.resume, name)
        fault = Fault("kill -9", "all", self.now_s())
        since = time.monotonic()
        pids = self.stack.pids
        await asyncio.gather(*(asyncio.to_thread(self.stack.kill, name) for name in pids))
        fault.recovered_s = await self.recovery_s("all", since)
        return self.record(fault)

    async def pause(self, part: str, seconds: float) -> Fault:
        """SIGSTOP, wait, SIGCONT; the recovery counts from SIGCONT."""
        victims = [self.stack.pids[part]]
        if part == "postgres":
            victims += [child.pid for child in psutil.Process(victims[0]).children(recursive=True)]
        fault = Fault(f"pause {seconds:g} s", part, self.now_s())
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        since = time.monotonic()
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        fault.recovered_s = await self.recovery_s(part, since)
        return self.record(fault)

    async def pause_past_ack(self, part: str) -> Fault:
        """Pause one of two replicas until its messages went to the other, so that two have them in hand.

        For this the ack time is set to 3 s, else 60 s would have to pass.
        """
        mine = [(stream, config.durable_name or "") for stream, config in durables(self.topology)]
        mine = [pair for pair in mine if pair[1].startswith(f"{part}-")]
        await self._ack_wait(mine, SHORT_ACK_WAIT_S)
        try:
            fault = await self.pause(part, SHORT_ACK_WAIT_S + 1.5)
        finally:
            await self._ack_wait(mine, ACK_WAIT_S)
        fault.kind = "pause past ack"
        return fault

    async def _ack_wait(self, pairs: Sequence[tuple[str, str]], seconds: float) -> None:
        for stream, durable in pairs:
            config = (await self.tap.bus.js.consumer_info(stream, durable)).config
            config.ack_wait = seconds
            await self.tap.bus.js.add_consumer(stream, config)

    async def replay(self) -> Fault:
        """The last 100 commands and 100 events again, shuffled."""
        fault = Fault("replay, shuffled", "bus", self.now_s())
        since = time.monotonic()
        self.replayed += await self.tap.replay(self.rng)
        fault.recovered_s = await self.recovery_s("governance", since)
        return self.record(fault)

    async def put_poison(self, count: int) -> Fault:
        """Messages that nobody can apply."""
        fault = Fault(f"poison, {count}", "bus", self.now_s())
        since = time.monotonic()
        self.poison += await self.tap.poison(self.rng, count)
        fault.recovered_s = await self.recovery_s("governance", since)
        return self.record(fault)

    async def twin(self) -> None:
        """A second replica of each service, with a gateway of its own that the driver uses in turn."""
        first = free_ports(len(SERVICES))
        for place, name in enumerate(SERVICES):
            self._twin_ports[name] = first + place
            self._begin_twin(name)
        async with asyncio.timeout(NEVER_S):
            for name in SERVICES:
                await self._twin_ready(name)
        self.driver.urls = [self.stack.gateway_url, f"http://127.0.0.1:{first}"]

    def _begin_twin(self, name: str) -> None:
        first = self._twin_ports[SERVICES[0]]
        environment = {**self.stack.servers.environment(name), "HEADGATE_HTTP_PORT": str(first)}
        log = self.stack.data_dir / "logs" / f"{name}-2.log"
        self.twins[name] = ServiceProcess(name, environment, log, silent)

    async def _twin_ready(self, name: str) -> None:
        while not await asyncio.to_thread(is_ready, "127.0.0.1", self._twin_ports[name]):
            assert self.twins[name].alive, list(self.twins[name].last_lines)
            await asyncio.sleep(0.1)

    async def restart_twin(self, name: str) -> None:
        """Stop a second replica cleanly, start it again and return when it is ready."""
        await asyncio.to_thread(self.twins[name].stop)
        self._begin_twin(name)
        async with asyncio.timeout(NEVER_S):
            await self._twin_ready(name)

    async def no_twins(self) -> None:
        """End the second replicas cleanly."""
        if self.twins:
            self.driver.urls = [self.stack.gateway_url]
            for twin in self.twins.values():
                twin.terminate()
            for twin in self.twins.values():
                await asyncio.to_thread(twin.stop)
            self.twins.clear()

    async def judge(self, seed: int, scenario: str, *, drain_s: float = 150.0) -> Verdict:
        """Drain and check everything since the start of the rig."""
        notes, problems = [f"unplanned end: {line}" for line in self.deaths], []
        for name in SERVICES:
            for log in sorted((self.stack.data_dir / "logs").glob(f"{name}*.log")):
                lines = log.read_text(errors="replace").splitlines()
                notes += [f"{log.stem}: {line[:600]}" for line in lines if "task died" in line]
        await self.driver.note_head()
        servers = self.stack.servers
        try:
            seconds = await drain(servers.database_url, servers.nats_url, drain_s, self.topology.namespace)
            notes.append(f"drained in {seconds:.1f} s")
        except AssertionError as error:
            problems.append(f"I5 {error}")
        problems += await self.driver.originals()
        world = await read_world(servers.database_url)
        problems += check(self.driver.attempts, world, self.driver.heads, self.poison)
        problems += [f"I6 {fault.line()}" for fault in self.faults if fault.recovered_s is None]
        lost, doubled = tally(self.driver.attempts, world)
        return Verdict(
            seed, scenario, self.now_s(), list(self.faults), self.driver.answers(), lost, doubled,
            len(self.poison), self.replayed, problems, notes,
        )  # fmt: skip
