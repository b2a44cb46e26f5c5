"""Three NATS servers on loopback with every stream on all of them (R3): leaders are killed and paused."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
from nats.js.errors import Error as JetStreamError

from deploy.embedded import Server, free_port
from deploy.embedded.nats import nats_server_program
from deploy.embedded.server import launch, lock_data
from deploy.installation import callout, nats_config, nats_users
from deploy.local.options import Options
from libs.common import topology
from libs.common.admin import derived_password
from libs.common.bus import NATS_ERRORS, connect
from libs.common.topology import Topology
from tests.faults.rig import NEVER_S, Fault, Rig, Verdict

NODES = ("lab-1", "lab-2", "lab-3")
PAUSE_S = 8.0
RATE_PER_S = 40


class Cluster:
    """The servers, by name. Started and started again by this process."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.folder, self.secret = folder, secret
        self.ports = {name: (free_port(), free_port(), free_port()) for name in NODES}
        self.servers: dict[str, Server] = {}
        password = derived_password(secret, "nats", "admin")
        hosts = ",".join(f"127.0.0.1:{ports[0]}" for ports in self.ports.values())
        self.url = f"nats://admin:{password}@{hosts}"

    def config(self, name: str) -> str:
        """A node's configuration: the shipped one, and a cluster."""
        port, monitor_port, cluster_port = self.ports[name]
        routes = [f'"nats://127.0.0.1:{ports[2]}"' for other, ports in self.ports.items() if other != name]
        return nats_config(
            port=port,
            monitor_port=monitor_port,
            store_dir=self.folder / name / "store",
            server_name=name,
            users=nats_users(self.secret, Topology()),
            durable=True,
            max_file_store_bytes=1 << 40,
            callout=callout(self.secret),
        ) + (
            f'cluster {{ name: lab, listen: "127.0.0.1:{cluster_port}", routes: [{", ".join(routes)}], '
            "pool_size: -1 }\n"
        )

    async def start(self, name: str) -> None:
        """Start one node and return when its JetStream runs; `leader_of` waits until its streams are up to date.

        Not `start_nats`, which waits for all streams: a node that comes back calls an idle one "unhealthy" for long.
        """
        folder, log = self.folder / name, self.folder / f"{name}.log"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "nats.conf").write_text(self.config(name))
        command = [str(nats_server_program()), "-c", str(folder / "nats.conf")]
        lock = await asyncio.to_thread(lock_data, folder / "nats.lock")
        process = launch(command, log=log, lock=lock, death_signal=signal.SIGTERM)
        self.servers[name] = Server("nats-server", "", process, log, (signal.SIGTERM,))
        page = f"http://127.0.0.1:{self.ports[name][1]}/healthz?js-server-only=true"
        async with asyncio.timeout(NEVER_S), httpx2.AsyncClient(timeout=2) as client:
            while True:
                assert self.servers[name].alive, f"{name} ended: {log.read_text()[-500:]}"
                with suppress(httpx2.HTTPError):
                    if (await client.get(page)).is_success:
                        return
                await asyncio.sleep(0.1)

    async def __aenter__(self) -> Cluster:
        await asyncio.gather(*(self.start(name) for name in NODES))
        bus = await connect(self.url, Topology(), "gateway", name="maker")
        async with asyncio.timeout(NEVER_S):
            while True:
                try:
                    await topology.apply(bus.js, bus.topology, replicas=len(NODES))
                    break
                except NATS_ERRORS:  # no leader of the cluster yet
                    await asyncio.sleep(0.5)
        await bus.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers.values():
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGCONT)
            await asyncio.to_thread(server.stop)


async def leader_of(rig: Rig, stream: str) -> str:
    """The node that leads a stream, once all three replicas are up to date."""
    async with asyncio.timeout(NEVER_S):
        while True:
            with suppress(*NATS_ERRORS, JetStreamError):
                found = (await rig.tap.bus.js.stream_info(stream)).cluster
                replicas = found.replicas or [] if found else []
                if found and found.leader and len(replicas) == 2 and all(r.current for r in replicas):
                    return found.leader
            await asyncio.sleep(0.1)


async def works_again(rig: Rig, since: float) -> float | None:
    """Seconds until a command is stored, applied, answered and audited again."""
    return await rig.recovery_s("all", since)


async def kill_leader(rig: Rig, cluster: Cluster, stream: str) -> None:
    """Kill -9 a stream's leader; start it again when the others have taken over."""
    name = await leader_of(rig, stream)
    fault = Fault("kill -9 leader", "nats", rig.now_s())
    since = time.monotonic()
    await asyncio.to_thread(cluster.servers[name].kill)
    fault.recovered_s = await works_again(rig, since)
    rig.record(fault)
    await cluster.start(name)


async def pause_leader(rig: Rig, cluster: Cluster, stream: str) -> None:
    """SIGSTOP a stream's leader: the others elect another one, and later it finds itself deposed."""
    name = await leader_of(rig, stream)
    fault = Fault(f"pause leader {PAUSE_S:g} s", "nats", rig.now_s())
    pid = cluster.servers[name].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(PAUSE_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    fault.recovered_s = await works_again(rig, time.monotonic())
    rig.record(fault)


async def cluster(seed: int, seconds: float, folder: Path) -> Verdict:
    """The scenario."""
    rng, secret = random.Random(seed), secrets.token_urlsafe(32)
    async with Cluster(folder / "nats", secret) as nodes:
        options = replace(
            Options.private(folder / "data", 0, {"HEADGATE_REQUESTS_PER_MINUTE": "1000000"}),
            admin_nats_url=nodes.url,
            cluster_secret=secret,
        )
        async with Rig(folder, rng, options=options, say=True) as rig:
            streams = [rig.topology.commands_stream, rig.topology.events_stream]
            until = time.monotonic() + seconds
            async with rig.driver.load(RATE_PER_S, rng):
                while time.monotonic() < until:
                    act = pause_leader if rng.random() < 0.1 else kill_leader
                    await act(rig, nodes, rng.choice(streams))
                    await rig.driver.note_head()
            return await rig.judge(seed, "cluster")
