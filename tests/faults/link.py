"""A cut link: NATS runs in a network namespace of its own behind a virtual cable, which is pulled and plugged."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from deploy.embedded import Server, free_port
from deploy.embedded.nats import nats_server_program
from deploy.embedded.server import launch, lock_data
from deploy.installation import nats_config, nats_users
from deploy.local.options import Options
from libs.common.admin import derived_password
from libs.common.topology import Topology
from tests.faults.rig import Fault, Rig, Verdict

RATE_PER_S = 40
SHORT_CUT_S, LONG_CUT_S = 3.0, 20.0  # TCP gets over the first; the second breaks connections


class CannotCut(RuntimeError):
    """This machine gives us no network namespaces; the message says what is missing."""


def ip(*arguments: str) -> None:
    """Run `ip`. Raises `CannotCut`."""
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=20)
    except FileNotFoundError as error:
        raise CannotCut("there is no `ip` here: apt-get install iproute2") from error
    if done.returncode != 0:
        raise CannotCut(f"ip {' '.join(arguments)}: {done.stderr.strip()} (network namespaces need root)")


@contextmanager
def cable(name: str) -> Iterator[tuple[str, str, str]]:
    """A namespace and a cable into it: (namespace, its end of the cable, the address in it)."""
    number = os.getpid() % 250
    ours, theirs, space = f"hg{number}a", f"hg{number}b", f"headgate-{name}-{number}"
    ip("netns", "add", space)
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", space)
        ip("addr", "add", f"10.203.{number}.1/30", "dev", ours)
        ip("-n", space, "addr", "add", f"10.203.{number}.2/30", "dev", theirs)
        for command in (("link", "set", ours, "up"), ("-n", space, "link", "set", theirs, "up")):
            ip(*command)
        ip("-n", space, "link", "set", "lo", "up")
        yield space, theirs, f"10.203.{number}.2"
    finally:
        with suppress(CannotCut):
            ip("netns", "del", space)  # takes both ends of the cable with it


@contextmanager
def nats_behind(space: str, host: str, folder: Path, secret: str) -> Iterator[str]:
    """NATS in the namespace; its administrator's address."""
    folder.mkdir(mode=0o700, parents=True)
    port = free_port()
    config = nats_config(
        port=port,
        monitor_port=free_port(),
        store_dir=folder / "store",
        server_name="lab-link",
        users=nats_users(secret, Topology()),
        durable=True,
        listen_host=host,
        max_file_store_bytes=1 << 40,
    )
    (folder / "nats.conf").write_text(config)
    command = ["ip", "netns", "exec", space, str(nats_server_program()), "-c", str(folder / "nats.conf")]
    program = ["/usr/bin/env", *command]
    process = launch(program, log=folder / "log", lock=lock_data(folder / "lock"), death_signal=signal.SIGTERM)
    server = Server("nats-server", "", process, folder / "log", (signal.SIGTERM,))
    try:
        deadline = time.monotonic() + 30
        while "Server is ready" not in (folder / "log").read_text():
            assert server.alive, (folder / "log").read_text()[-500:]
            assert time.monotonic() < deadline, "NATS did not start in its namespace"
            time.sleep(0.05)
        yield f"nats://admin:{derived_password(secret, 'nats', 'admin')}@{host}:{port}"
    finally:
        server.stop()


async def link(seed: int, seconds: float, folder: Path) -> Verdict:
    """The scenario: the cable is pulled for a short and for a long time, until the time is up (each at least once)."""
    rng, secret = random.Random(seed), secrets.token_urlsafe(32)
    with cable("link") as (space, end, host), nats_behind(space, host, folder / "nats", secret) as url:
        options = replace(
            Options.private(folder / "data", 0, {"HEADGATE_REQUESTS_PER_MINUTE": "1000000"}),
            admin_nats_url=url,
            cluster_secret=secret,
        )
        async with Rig(folder, rng, options=options, say=True) as rig:
            until = time.monotonic() + seconds
            cuts = [LONG_CUT_S, SHORT_CUT_S]
            async with rig.driver.load(RATE_PER_S, rng):
                while cuts or time.monotonic() < until:
                    length_s = cuts.pop() if cuts else rng.choice([SHORT_CUT_S, LONG_CUT_S])
                    fault = Fault(f"link cut {length_s:g} s", "nats", rig.now_s())
                    ip("-n", space, "link", "set", end, "down")
                    await asyncio.sleep(length_s)
                    ip("-n", space, "link", "set", end, "up")
                    fault.recovered_s = await rig.recovery_s("nats", time.monotonic())
                    rig.record(fault)
            return await rig.judge(seed, "link")
