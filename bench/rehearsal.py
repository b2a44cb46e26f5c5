"""``python -m bench.rehearsal``: ordinary requests beside a rehearsal against the same ones without it.

Fills an audit log (real events, so that its chain holds) and a tracker, asks for lists all the time, and rehearses
meanwhile. Small by default; ``--entries 1000000 --items 100000`` is the size of an installation that has been in use
for a year, and takes about ten minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.consumer import sample
from bench.figures import machine, percentile
from bench.filling import fill
from bench.lab import ROOT, BenchError, Lab, Space
from bench.load import Client, listening
from bench.query import TRACKER, gateway
from deploy.embedded import EmbeddedError

AT_ONCE = 10_000
BEHIND = 20_000  # events that may wait for the audit service while it is filled
CLIENTS, PAUSE_S = 4, 0.02  # people and scripts, not a flood: what counts is how long each waits
IDLE_S = 15.0
PATHS = (f"{TRACKER}/items?limit=20", "/api/sites", f"{TRACKER}/items?limit=20&status=pending")


class Asking:
    """Ordinary requests, one after the other on a few connections, until it is told to end."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._ended = asyncio.Event()
        self.waits_ms: list[float] = []

    async def run(self) -> None:
        """Ask. Raises `BenchError` for an answer that is none."""
        await asyncio.gather(*(self._one(number) for number in range(CLIENTS)))

    def end(self) -> None:
        """No more of them."""
        self._ended.set()

    async def _one(self, number: int) -> None:
        client = await Client.connect(self._port, self._token)
        while not self._ended.is_set():
            started = time.perf_counter()
            status, body = await client.request("GET", PATHS[number % len(PATHS)])
            self.waits_ms.append((time.perf_counter() - started) * 1000)
            if status != 200:
                raise BenchError(f"a list answered {status}: {body[:200]!r}")
            await asyncio.sleep(PAUSE_S)
        client.close()


async def _fill_log(space: Space, entries: int) -> None:
    stream, durable = space.topology.events_stream, "audit-events"
    await space.subscribed(stream, durable)
    for first in range(0, entries, AT_ONCE):
        await space.publish([sample(space, "global", number) for number in range(first, min(first + AT_ONCE, entries))])
        await _wait_for(space, stream, durable, BEHIND)
    await _wait_for(space, stream, durable, 0)


async def _wait_for(space: Space, stream: str, durable: str, at_most: int) -> None:
    while True:
        info = await space.bus.js.consumer_info(stream, durable)
        if (info.num_pending or 0) + (info.num_ack_pending or 0) <= at_most:
            return
        await asyncio.sleep(0.05)


async def _asked_while(port: int, token: str, work: Any) -> tuple[list[float], Any]:
    """The waits in milliseconds while something else goes on, and its result."""
    asking = Asking(port, token)
    task = asyncio.create_task(asking.run())
    try:
        result = await work
    finally:
        asking.end()
        await task
    return asking.waits_ms, result


async def _rehearse(space: Space, folder: Path, mib_s: int) -> dict[str, Any]:
    environment = space.environment(
        "audit",
        HEADGATE_ADMIN_DATABASE_URL=space.database_url,
        HEADGATE_ADMIN_NATS_URL=space.nats_url,
        HEADGATE_BACKUP_DIR=str(folder / "backups"),
    )
    command = ["-m", "deploy.backup", "rehearse", "--json", "--no-report", f"--max-mib-s={mib_s}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise BenchError(f"the rehearsal ended with exit code {process.returncode}: {said.decode()[-1000:]}")
    result: dict[str, Any] = json.loads(said)
    return result


def _line(name: str, waits: Sequence[float]) -> str:
    p50, p95, p99 = (percentile(waits, share) for share in (0.5, 0.95, 0.99))
    return f"{name:<22} {len(waits):>7} requests   p50 {p50:7.1f}   p95 {p95:7.1f}   p99 {p99:7.1f} ms"


async def _run(arguments: argparse.Namespace) -> None:
    async with Lab(arguments.data_dir) as lab, lab.space(["audit", "tracker"]) as space:
        print(", ".join(f"{name} {value}" for name, value in machine(lab.folder).items()))
        started = time.monotonic()
        await fill(space, arguments.items)
        await _fill_log(space, arguments.entries)
        print(f"filled: {arguments.entries} entries, {arguments.items} items ({time.monotonic() - started:.0f} s)")
        port, token = gateway(space)
        await listening(space, port)
        await _asked_while(port, token, asyncio.sleep(3))  # warm
        idle, _ = await _asked_while(port, token, asyncio.sleep(IDLE_S))
        beside, done = await _asked_while(port, token, _rehearse(space, lab.folder, arguments.max_mib_s))
        print(_line("without a rehearsal", idle))
        print(_line("beside a rehearsal", beside))
        print(f"p95 beside / without   {percentile(beside, 0.95) / percentile(idle, 0.95):.2f}")
        print(
            f"rehearsal              {done['total_s']:.1f} s, backup {done['backup_s']:.1f} s, "
            f"RTO {done['rto_s']:.1f} s, RPO {done['rpo_s']:.1f} s, {done['size_bytes'] / 2**20:.1f} MiB, "
            f"{done['rows']} rows, {done['messages']} messages, audit log up to {done['audit_seq']}"
        )


def main() -> int:
    """Exit code 0 when it could be measured, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m bench.rehearsal", description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000, help="entries of the audit log")
    parser.add_argument("--items", type=int, default=2_000, help="items of the tracker")
    parser.add_argument("--max-mib-s", type=int, default=64, help="how fast the rehearsal may go (0: no bound)")
    parser.add_argument("--data-dir", type=Path, default=Path(".headgate"), help="folder for the servers' data")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(parser.parse_args()))
    except (BenchError, EmbeddedError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
