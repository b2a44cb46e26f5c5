"""Who used how much of the processors: each process of a space by what it is, PostgreSQL's by whom they work for."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from typing import NamedTuple

import httpx2
import psutil

from bench.lab import Lab, Space
from libs.common.contracts import SERVICES
from libs.common.migrations import login_role

BACKENDS = "SELECT pid, usename FROM pg_stat_activity WHERE usename IS NOT NULL AND datname = current_database()"
ROLES = {login_role(service): f"postgres of {service}" for service in SERVICES}
BATCHES = re.compile(r'^headgate_batch_messages_(sum|count)\{consumer="([^"]+)",service="[^"]+"\} (\S+)$', re.MULTILINE)


class Batches(NamedTuple):
    """What a durable's consumers have applied so far."""

    messages: float = 0
    transactions: float = 0


class Meter:
    """Reads clocks of processes; what lies between two readings was used between them."""

    def __init__(self, lab: Lab, space: Space, ports: list[int]) -> None:
        self._lab, self._space, self._ports = lab, space, ports

    async def cpu_s(self) -> defaultdict[str, float]:
        """Processor seconds so far, of each service, ``postgres of <service>``, ``postgres`` (the rest), ``nats``."""
        used: defaultdict[str, float] = defaultdict(float)
        for worker in self._space.workers:
            used[worker.name] += _cpu_s(psutil.Process(worker.process.pid))
        backends = {row["pid"]: ROLES.get(row["usename"], "") for row in await self._space.database.fetch(BACKENDS)}
        for process in psutil.Process(self._lab.postgres_pid).children():
            used[backends.get(process.pid) or "postgres"] += _cpu_s(process)
        used["nats"] = _cpu_s(psutil.Process(self._lab.nats_pid))
        return used

    def machine_s(self) -> float:
        """Processor seconds so far of everything that runs on the machine, but for this process."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        inside = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # are in user and nice already
        return float(sum(times) - idle - inside - _cpu_s(psutil.Process()))

    async def batches(self) -> dict[str, Batches]:
        """How many messages each durable's consumers applied, and in how many transactions."""
        found: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        async with httpx2.AsyncClient() as client:
            for port in self._ports:
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                for part, durable, value in BATCHES.findall(text):
                    found[durable][part] += float(value)
        return {durable: Batches(both["sum"], both["count"]) for durable, both in found.items()}


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
