"""Soak: half an hour at a steady rate. Memory must stay flat, queues must drain, latency must not creep.

    python -m bench.soak --minutes 30 --rate 60

Each second ``rate`` requests are begun: of ten, six signals, one gate run, three questions. Every ten seconds the
memory of each process, the outbox depths and the pending messages are read. The report is a page with a plot.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx2
import psutil

from bench.plot import Line, chart
from deploy.local.stack import LocalStack
from libs.common.bus import connect
from libs.common.contracts import SERVICES
from libs.common.topology import Topology, durables

SAMPLE_S = 10.0
# Growth per hour, of a line fitted to the second half, that counts as a leak and not as noise.
LEAK_MIB_PER_HOUR = 20.0
UNSENT = "SELECT count(*) FROM {service}.outbox WHERE sent_at IS NULL"
MIX = ("signal", "signal", "question", "signal", "signal", "gate", "question", "signal", "signal", "question")


@dataclass
class Sample:
    """What was read at one moment."""

    at_s: float
    memory_mib: dict[str, float]
    waiting: int


@dataclass
class Soak:
    """A run and what it saw."""

    stack: LocalStack
    rate: float
    seconds: float
    started: float = field(default_factory=time.monotonic)
    latencies: list[tuple[float, str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    async def run(self) -> None:
        """Drive and sample until the time is up, then let everything drain."""
        sampling = asyncio.create_task(self._sample())
        await self._drive()
        await asyncio.sleep(SAMPLE_S)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        self.samples.append(await self._read())

    async def _drive(self) -> None:
        """Open loop: a slow answer does not slow the asking, so that queueing shows."""
        headers = {"Authorization": f"Bearer {self.stack.token}"}
        limits = httpx2.Limits(max_connections=64)
        async with httpx2.AsyncClient(
            base_url=self.stack.gateway_url, headers=headers, limits=limits, timeout=20
        ) as client:
            tasks: set[asyncio.Task[None]] = set()
            number = 0
            while (now := time.monotonic() - self.started) < self.seconds:
                while number < now * self.rate:
                    task = asyncio.create_task(self._one(client, MIX[number % len(MIX)], number))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    number += 1
                await asyncio.sleep(0.005)
            if tasks:
                await asyncio.wait(tasks, timeout=30)

    async def _one(self, client: httpx2.AsyncClient, kind: str, number: int) -> None:
        begun = time.monotonic()
        try:
            if kind == "signal":
                document = {
                    "specversion": "1.0",
                    "id": str(number),
                    "source": "/soak",
                    "type": "ops.preflight",
                    "data": {"overall_status": "ok", "error_count": 0, "warning_count": 0},
                }
                answer = await client.post(
                    "/api/signals",
                    content=json.dumps(document),
                    headers={"Content-Type": "application/cloudevents+json"},
                )
            elif kind == "gate":
                answer = await client.post("/api/gates/operations/runs", json={})
            else:
                answer = await client.get("/api/ops/governance/gate/remediation/tracker/items")
        except httpx2.HTTPError as error:
            self.failures.append(f"{kind}: {error!r}")
            return
        if not answer.is_success or answer.status_code == 202:
            self.failures.append(f"{kind}: {answer.status_code}")
        self.latencies.append((begun - self.started, kind, (time.monotonic() - begun) * 1000))

    async def _sample(self) -> None:
        while True:
            self.samples.append(await self._read())
            await asyncio.sleep(SAMPLE_S)

    async def _read(self) -> Sample:
        memory = {name: _memory_mib(pid) for name, pid in self.stack.pids.items()}
        connection = await asyncpg.connect(self.stack.servers.database_url)
        bus = await connect(self.stack.servers.nats_url, Topology(), "gateway", name="soak")
        try:
            waiting = 0
            for service in SERVICES:
                waiting += await connection.fetchval(UNSENT.format(service=service))
            for stream, config in durables(Topology()):
                info = await bus.js.consumer_info(stream, config.durable_name or "")
                waiting += (info.num_pending or 0) + (info.num_ack_pending or 0)
        finally:
            await connection.close()
            await bus.close()
        return Sample(time.monotonic() - self.started, memory, waiting)


def _memory_mib(pid: int) -> float:
    """Unique memory of a process and its children, in MiB (shared pages of Postgres would count many times)."""
    total = 0
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return total / 1024**2


def slope_per_hour(points: list[tuple[float, float]]) -> float:
    """Least-squares slope of (seconds, value), per hour."""
    if len(points) < 3:
        return 0.0
    return statistics.linear_regression([at for at, _ in points], [value for _, value in points]).slope * 3600


def quantile(values: list[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def judge(soak: Soak) -> tuple[list[str], list[str]]:
    """(lines of the report, problems)."""
    problems: list[str] = []
    half = soak.samples[len(soak.samples) // 2 :]
    lines = ["| process | MiB at the start | MiB at the end | MiB per hour (second half) |", "|---|---|---|---|"]
    for name in soak.samples[-1].memory_mib:
        slope = slope_per_hour([(s.at_s, s.memory_mib[name]) for s in half if name in s.memory_mib])
        first, last = soak.samples[1].memory_mib.get(name, 0.0), soak.samples[-1].memory_mib[name]
        lines.append(f"| {name} | {first:.0f} | {last:.0f} | {slope:+.1f} |")
        # The servers fill caches of a configured size: theirs is shown, not judged.
        if name in SERVICES and slope > LEAK_MIB_PER_HOUR:
            problems.append(f"{name} grows by {slope:.0f} MiB per hour")
    lines += ["", "| minutes | requests | p50 ms | p99 ms |", "|---|---|---|---|"]
    quarter = soak.seconds / 4
    p99s = []
    for part in range(4):
        values = [ms for at, _, ms in soak.latencies if part * quarter <= at < (part + 1) * quarter]
        p99s.append(quantile(values, 0.99))
        span = f"{part * quarter / 60:.0f}-{(part + 1) * quarter / 60:.0f}"
        lines.append(f"| {span} | {len(values)} | {quantile(values, 0.5):.1f} | {p99s[-1]:.1f} |")
    if p99s[-1] > 2 * max(p99s[0], 20.0):
        problems.append(f"p99 rose from {p99s[0]:.0f} to {p99s[-1]:.0f} ms")
    lines += ["", f"Messages waiting at the end: {soak.samples[-1].waiting}. Failed requests: {len(soak.failures)}."]
    if soak.samples[-1].waiting:
        problems.append(f"{soak.samples[-1].waiting} messages still wait")
    if soak.failures:
        problems.append(f"{len(soak.failures)} requests failed, first {soak.failures[0]}")
    return lines, problems


def write_report(soak: Soak, folder: Path, lines: list[str], problems: list[str]) -> None:
    """docs/soak.md and its plot."""
    names = [name for name in SERVICES if name in soak.samples[-1].memory_mib]
    memory = [Line(name, [(s.at_s / 60, s.memory_mib.get(name, 0.0)) for s in soak.samples]) for name in names]
    (folder / "soak.svg").write_text(chart("Memory of the services", "minutes", "MiB", memory), encoding="utf-8")
    text = [
        "# Soak",
        "",
        f"`python -m bench.soak --minutes {soak.seconds / 60:g} --rate {soak.rate:g}`: {len(soak.latencies)} requests "
        f"({soak.rate:g} a second; of ten, six signals, one gate run, three questions) on one machine with "
        f"{psutil.cpu_count()} cores, all services, PostgreSQL and NATS with fsync on.",
        "",
        *lines,
        "",
        "Result: " + ("; ".join(problems) + "." if problems else "memory flat, queues empty, latency steady."),
        "",
        "![Memory of the services over time](soak.svg)",
    ]
    (folder / "soak.md").write_text("\n".join(text) + "\n", encoding="utf-8")


def main() -> None:
    """Run, print, write; exit code 1 if something grew, waited or failed."""
    parser = argparse.ArgumentParser(description="Half an hour at a steady rate")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=60.0, help="requests per second")
    parser.add_argument("--report", type=Path, default=None, help="folder for soak.md and soak.svg, such as docs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-soak-") as folder:
        stack = LocalStack(Path(folder) / "data", env={"HEADGATE_REQUESTS_PER_MINUTE": "1000000"})
        stack.start()
        try:
            stack.wait_ready()
            soak = Soak(stack, options.rate, options.minutes * 60)
            asyncio.run(soak.run())
        finally:
            stack.stop()
    lines, problems = judge(soak)
    sys.stdout.write("\n".join([*lines, "", *problems]) + "\n")
    if options.report:
        write_report(soak, options.report, lines, problems)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
