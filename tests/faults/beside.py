"""Two versions side by side under load: the upgrade without a pause, and the way back (expand, migrate, contract).

The admin step of the older version makes schemas and streams, and its services run. Under load this version's admin
step widens what is there, this version's services start beside the others, and the older ones leave one by one. Then
the same the other way round: the older version comes back on the wider schema, and this one leaves.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.embedded import free_ports
from deploy.local.options import Options
from deploy.local.process import Child, ServiceProcess
from deploy.local.servers import Servers, is_ready
from deploy.local.stack import silent
from libs.common.contracts import SERVICES
from tests.faults.checker import check, tally
from tests.faults.driver import Driver
from tests.faults.rig import NEVER_S, Fault, Verdict
from tests.faults.world import drain, read_world
from tests.integration.old_version import check_out

# The version that this one must run beside. Move it on with `old_version.BASE`, when a release is tagged.
BESIDE = "af81c7403ce1a6adccff4877873122d5f39c01e1"
RATE_PER_S = 20
SIDE_BY_SIDE_S = 10.0
DRAIN_S = 2.0  # between the last request to a gateway and its end
UNANSWERED = 0.005  # of all calls: on a machine with other work a connection takes longer than the driver waits
Version = Literal["older", "newer"]


@dataclass
class Fleet:
    """Servers, and services of both versions, each with ports of its own. Start it from the main thread."""

    folder: Path
    older_tree: Path
    newer_tree: Path | None = None  # else this one
    processes: dict[tuple[Version, str], ServiceProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.options = Options.private(self.folder / "data", 0, {"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
        self.options.data_dir.mkdir(mode=0o700, parents=True)
        self.ports: dict[Version, int] = {"older": self.options.http_port, "newer": free_ports(len(SERVICES))}
        self.servers = Servers(self.options, lambda line: None)
        self._children: list[Child] = []

    def environment(self, version: Version, environment: dict[str, str]) -> dict[str, str]:
        """The same environment for a process of that version: its files come before the installed ones."""
        tree = self.older_tree if version == "older" else self.newer_tree
        return environment | ({"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"} if tree else {})

    def url(self, version: Version) -> str:
        """Where that version's gateway answers."""
        return f"http://127.0.0.1:{self.ports[version]}"

    def start_servers(self) -> None:
        """PostgreSQL and NATS, and what the older version makes of them."""
        self._children = [begin() for begin in self.servers.starters().values()]
        self.prepare("older")

    def prepare(self, version: Version) -> None:
        """That version's admin step."""
        given = {
            "HEADGATE_DATA_DIR": str(self.options.data_dir),
            "HEADGATE_ADMIN_DATABASE_URL": self.servers.database_url,
            "HEADGATE_ADMIN_NATS_URL": self.servers.nats_url,
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
        run = [sys.executable, "-m", "deploy.local", "migrate"]
        environment = self.environment(version, kept | given)
        done = subprocess.run(run, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, version: Version, service: str) -> None:
        """Start one service of that version."""
        own = self.servers.environment(service) | {"HEADGATE_HTTP_PORT": str(self.ports[version])}
        environment = self.environment(version, own)
        log = self.options.data_dir / "logs" / f"{service}-{version}.log"
        self.processes[version, service] = ServiceProcess(service, environment, log, silent)

    async def ready(self, version: Version, service: str) -> None:
        """Return when it can work."""
        async with asyncio.timeout(NEVER_S):
            while not await asyncio.to_thread(is_ready, "127.0.0.1", self.ports[version] + SERVICES.index(service)):
                process = self.processes[version, service]
                assert process.alive, f"{service}, {version}: {list(process.last_lines)}"
                await asyncio.sleep(0.1)

    async def bring(self, version: Version) -> None:
        """Start all services of that version, beside whatever runs."""
        for service in SERVICES:
            self.start(version, service)
        for service in SERVICES:
            await self.ready(version, service)

    async def leave(self, version: Version, service: str) -> None:
        """Stop one as an upgrade does."""
        await asyncio.to_thread(self.processes.pop((version, service)).stop)

    async def verdict(self, seed: int, scenario: str, began: float, faults: list[Fault], driver: Driver) -> Verdict:
        """When all is done: what is there, held against what was answered."""
        problems = [f"I6 {one.line()}" for one in faults if one.recovered_s is None]
        try:
            await drain(self.servers.database_url, self.servers.nats_url, 150)
        except AssertionError as error:
            problems.append(f"I5 {error}")
        problems += pauses(driver)
        problems += await driver.originals()
        world = await read_world(self.servers.database_url)
        problems += check(driver.attempts, world, driver.heads)
        lost, doubled = tally(driver.attempts, world)
        return Verdict(
            seed, scenario, time.monotonic() - began, faults, driver.answers(), lost, doubled, 0, 0, problems,
            [driver.summary()],
        )  # fmt: skip

    def driver(self) -> Driver:
        """Of the older version's gateway, to begin with."""
        return Driver([self.url("older")], (self.options.data_dir / "bootstrap-token").read_text().strip())

    def stop(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.stop()
        for child in reversed(self._children):
            child.stop()


async def change(fleet: Fleet, driver: Driver, rng: random.Random, old: Version, new: Version) -> list[Fault]:
    """Under load: the new ones come beside the old ones, both work, the old ones leave one by one in any order."""
    began = time.monotonic()
    await fleet.bring(new)
    driver.urls = [fleet.url(old), fleet.url(new)]
    faults = [Fault(f"{new} beside {old}", "all", began, time.monotonic() - began)]
    await asyncio.sleep(SIDE_BY_SIDE_S)
    await driver.note_head()
    for service in rng.sample(SERVICES, len(SERVICES)):
        if service == "gateway":  # as a load balancer does, before it takes one away
            driver.urls = [fleet.url(new)]
            await asyncio.sleep(DRAIN_S)
        since = time.monotonic()
        await fleet.leave(old, service)
        works = await driver.works(service)
        while not works and time.monotonic() - since < NEVER_S:
            await asyncio.sleep(0.1)
            works = await driver.works(service)
        faults.append(Fault(f"{old} leaves", service, since, time.monotonic() - since if works else None))
        print(f"{time.monotonic() - began:7.1f} s  {faults[-1].line()[11:]}", flush=True)
        await driver.note_head()
    return faults


def pauses(driver: Driver) -> list[str]:
    """What callers noticed: a call that was refused for want of a service, or too many that got no answer at all."""
    refused = [f"{one.kind} {one.marker} got {one.status}" for one in driver.attempts if one.status >= 500]
    silent_calls = sum(not one.status for one in driver.attempts)
    if silent_calls > UNANSWERED * len(driver.attempts):
        refused.append(f"{silent_calls} of {len(driver.attempts)} calls got no answer")
    waited_calls = sum(one.status == 202 and one.kind not in ("sync", "fly") for one in driver.attempts)
    if waited_calls > UNANSWERED * len(driver.attempts):
        refused.append(f"{waited_calls} of {len(driver.attempts)} calls were only accepted")
    return [f"a pause: {one}" for one in refused]


async def beside(seed: int, seconds: float, folder: Path, older: str = BESIDE) -> Verdict:
    """The scenario: there and back."""
    rng, began = random.Random(seed), time.monotonic()
    fleet = Fleet(folder, await asyncio.to_thread(check_out, folder / "older", older))
    try:
        fleet.start_servers()
        await fleet.bring("older")
        driver = fleet.driver()
        async with driver.load(RATE_PER_S, rng):
            await asyncio.to_thread(fleet.prepare, "newer")  # expand: while only the older version runs
            await asyncio.sleep(2)
            faults = await change(fleet, driver, rng, "older", "newer")
            faults += await change(fleet, driver, rng, "newer", "older")
        return await fleet.verdict(seed, "beside", began, faults, driver)
    finally:
        await asyncio.to_thread(fleet.stop)
