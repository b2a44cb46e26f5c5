"""Alerts fired by breaking the thing, on an installation of its own under a real Prometheus with the shipped rules.

How long a state has to last (``for``) is shortened to a second, nothing else of a rule. Before something is broken its
alert must be still. Those that a break would need hours or days for are fired by promtool alone (docs/outside.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import nats
import yaml

from deploy.embedded import free_port
from deploy.local import LocalStack
from libs.common.contracts import SERVICES
from libs.common.topology import Topology
from tests.local_traffic import OPS, client, started
from tests.outside.world import StepFailed, World, check, until

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
WITHIN_S = 90
SLOW = "/api/ops/performance/api-latency"
ENVIRONMENT = {
    "HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]',
    "HEADGATE_GUARD_FAILURES": "12",  # more than ten attempts must fail before the target is left alone
    "HEADGATE_LOG_FORMAT": "json",
}


class Watch:
    """A Prometheus that looks at an installation each second."""

    def __init__(self, program: str, folder: Path, stack: LocalStack) -> None:
        self.folder, self._stack, self._program = folder, stack, program
        self._url = f"http://127.0.0.1:{free_port()}"
        self._http = httpx2.Client(base_url=self._url, timeout=20, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None
        self.fired: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at all services until the block ends."""
        rules = (SHIPPED / "rules.yml").read_text(encoding="utf-8")
        (self.folder / "rules.yml").write_text(re.sub(r"(?m)^(\s+for:) \w+$", r"\1 1s", rules))
        self._configure(SERVICES)
        command = [self._program, "--config.file=prometheus.yml", "--storage.tsdb.path=series"]
        with (self.folder / "log").open("wb") as log, self._http:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address={self._url.removeprefix('http://')}"],
                cwd=self.folder, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                until("Prometheus is ready", self._ready, WITHIN_S)
                yield
            finally:
                self._process.terminate()
                self._process.wait(20)

    def look_at(self, services: Sequence[str]) -> None:
        """Scrape these services alone from now on."""
        assert self._process is not None
        self._configure(services)
        self._process.send_signal(signal.SIGHUP)

    def query(self, expression: str) -> list[Any]:
        """The result of an instant query."""
        body = self._http.get("/api/v1/query", params={"query": expression}).json()
        check(body["status"] == "success", f"{expression}: {body}")
        return list(body["data"]["result"])

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        standing = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in standing if one["state"] == "firing"}

    def still(self, *names: str) -> None:
        """These must not fire yet, or a break would prove nothing."""
        check(not self.firing() & set(names), f"{self.firing() & set(names)} fired before anything was broken")

    def await_fired(self, *names: str) -> None:
        """These fire now."""
        try:
            until(f"{', '.join(names)}", lambda: set(names) <= self.firing(), WITHIN_S)
        except StepFailed as error:
            raise StepFailed(f"{error}; {self.firing()} fire") from error
        self.fired += names

    def _ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False

    def _configure(self, services: Sequence[str]) -> None:
        config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = ["rules.yml"]
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [f"127.0.0.1:{self._stack.options.port_of(name)}"], "labels": {"service": name}}
            for name in services
        ]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))


def step(world: World) -> None:
    """Break one thing after the other, and see each alert fire."""
    folder = world.folder / "alerts"
    folder.mkdir()
    with started(LocalStack(folder / "data", env=ENVIRONMENT)) as stack, client(stack) as http:
        watch = Watch(world.tools.prometheus, folder, stack)
        with watch.watching():
            watch.await_fired("Watchdog")
            until("all are scraped", lambda: len(watch.query('up{job="headgate"} == 1')) == len(SERVICES), WITHIN_S)
            _no_go(watch, http)
            _deaf_receiver(watch, http)
            _unreadable_messages(watch, stack)
            _frozen_service(watch, stack, http)
            _forgotten_service(watch)
            _no_table(watch, stack, http)
            _no_bus(watch, stack)
    names = {rule["alert"] for rule in _rules()}
    check(set(watch.fired) <= names and len(set(watch.fired)) == len(watch.fired), f"fired {watch.fired}")
    world.figure("alerts fired by breaking the thing", "Prometheus", f"{len(watch.fired)} of {len(names)}")


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((SHIPPED / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _no_go(watch: Watch, http: httpx2.Client) -> None:
    """A gate without a single signal."""
    watch.still("HeadgateGateNoGo")
    ran = http.post(f"{OPS}/run", json={})
    check(ran.status_code == 200 and ran.json()["decision"] == "no_go", ran.text)
    watch.await_fired("HeadgateGateNoGo")


def _deaf_receiver(watch: Watch, http: httpx2.Client) -> None:
    """A subscription to a port where nobody listens, and more signals than its guard bears."""
    watch.still("HeadgateDeliveriesFail", "HeadgateCircuitsOpen")
    endpoint = f"http://127.0.0.1:{free_port()}/"
    body = {"name": "deaf", "event_types": ["governance.signal.*"], "endpoint": endpoint}
    check(http.post("/api/subscriptions", json=body).status_code == 201, "no subscription")
    for number in range(16):
        data = {"overall_status": "ok", "error_count": 0, "warning_count": number}
        event = {"specversion": "1.0", "id": f"deaf-{number}", "source": "/outside", "type": "ops.preflight"}
        headers = {"Content-Type": "application/cloudevents+json"}
        sent = http.post("/api/signals", json=event | {"data": data}, headers=headers)
        check(sent.status_code == 201, sent.text)
    watch.await_fired("HeadgateDeliveriesFail", "HeadgateCircuitsOpen")


def _unreadable_messages(watch: Watch, stack: LocalStack) -> None:
    """Events whose data break their contract: whoever hears them puts them aside."""
    watch.still("HeadgateDeadLetters")
    topology = Topology()

    async def publish() -> None:
        connection = await nats.connect(stack.servers.nats_url)
        for _ in range(2):
            event = {
                "specversion": "1.0", "id": str(uuid.uuid4()), "source": "/headgate/governance", "site": "global",
                "type": "headgate.governance.gate.decided.v1", "data": {"gate": "operations"},
            }  # fmt: skip
            await connection.jetstream().publish(
                topology.event_subject_named("governance.gate.decided", "global"),
                json.dumps(event).encode(),
                headers={"Content-Type": "application/cloudevents+json"},
            )
        await connection.close()

    asyncio.run(publish())
    watch.await_fired("HeadgateDeadLetters")


def _frozen_service(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """A service that stands still: it is not scraped, and whoever asks it waits and is then told no."""
    watch.still("HeadgateServiceDown", "HeadgateErrorRateHigh", "HeadgateSlow")
    frozen = stack.pids["metrics"]
    os.kill(frozen, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as people:
            answers = list(people.map(lambda _: http.get(SLOW).status_code, range(24)))
        check(set(answers) <= {503, 504}, f"of a frozen service came {set(answers)}")
        watch.await_fired("HeadgateServiceDown", "HeadgateErrorRateHigh", "HeadgateSlow")
    finally:
        os.kill(frozen, signal.SIGCONT)
    until("it is scraped again", lambda: "HeadgateServiceDown" not in watch.firing(), WITHIN_S)


def _forgotten_service(watch: Watch) -> None:
    """A service that nobody looks for any more."""
    watch.still("HeadgateServiceMissing")
    watch.look_at([name for name in SERVICES if name != "tracker"])
    watch.await_fired("HeadgateServiceMissing")
    watch.look_at(SERVICES)
    until("it is looked for again", lambda: "HeadgateServiceMissing" not in watch.firing(), WITHIN_S)


def _no_table(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """A table of the tracker is gone: it can't apply what it hears."""
    watch.still("HeadgateHandlersFail")
    asyncio.run(_sql(stack, "ALTER TABLE tracker.item RENAME TO item_gone"))
    for _ in range(6):
        check(http.post(f"{OPS}/run", json={}).status_code == 200, "no run")
    watch.await_fired("HeadgateHandlersFail")
    asyncio.run(_sql(stack, "ALTER TABLE tracker.item_gone RENAME TO item"))


async def _sql(stack: LocalStack, statement: str) -> None:
    connection = await asyncpg.connect(stack.servers.database_url)
    await connection.execute(statement)
    await connection.close()


def _no_bus(watch: Watch, stack: LocalStack) -> None:
    """NATS is stopped."""
    watch.still("HeadgateDependencyDown")
    stack.halt("nats")
    watch.await_fired("HeadgateDependencyDown")
    stack.resume("nats")
