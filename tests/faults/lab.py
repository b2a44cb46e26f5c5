"""The fault laboratory: ``python -m tests.faults.lab --seed N --seconds S --scenario NAME``, or ``--report``.

Prints its seed, each fault and a table; exits 1 if an invariant is broken. `docs/reliability.md` explains it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from libs.common.telemetry import setup_logs
from tests.faults import results, scenarios
from tests.faults.beside import beside
from tests.faults.cluster import cluster
from tests.faults.failover import failover
from tests.faults.full_disk import nats_disk, postgres_disk
from tests.faults.link import CannotCut, link
from tests.faults.mounts import CannotMount
from tests.faults.pair import NoPatroni
from tests.faults.power import power
from tests.faults.rig import Verdict
from tests.faults.rolling import rolling
from tests.faults.scenarios import run_on_rig

Scenario = Callable[[int, float, Path], Coroutine[Any, Any, Verdict]]


async def _short(seed: int, seconds: float, folder: Path) -> Verdict:
    return await run_on_rig("short", scenarios.short, seed, seconds, folder)


async def _kills(seed: int, seconds: float, folder: Path) -> Verdict:
    return await run_on_rig("kills", scenarios.kills, seed, seconds, folder)


SCENARIOS: dict[str, Scenario] = {
    "short": _short,
    "kills": _kills,
    "cluster": cluster,
    "rolling": rolling,
    "failover": failover,
    "beside": beside,
    "nats-disk": nats_disk,
    "postgres-disk": postgres_disk,
    "power": power,
    "link": link,
}


def run(name: str, seed: int, seconds: float) -> Verdict:
    """One run, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="headgate-faults-") as folder:
        return asyncio.run(SCENARIOS[name](seed, seconds, Path(folder)))


def show(verdict: Verdict) -> None:
    """Print what a run came to."""
    print(results.table([verdict.as_record()]))
    for note in verdict.notes:
        print(f"note: {note}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.lab", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeat the choices of a run; without it, the next one")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a scenario that can go on goes on")
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="short")
    parser.add_argument("--minutes", type=float, default=0.0, help="run again with the next seed until that time is up")
    parser.add_argument("--keep", action="store_true", help=f"append the result to {results.KEPT}")
    parser.add_argument("--report", action="store_true", help="only sum up the results that were kept")
    chosen = parser.parse_args(arguments)
    setup_logs("lab", "error", "text")
    if chosen.report:
        records = results.load()
        print(results.table(records) if records else f"no results in {results.KEPT} yet")
        return int(any(record["problems"] for record in records))
    until, broken = time.monotonic() + chosen.minutes * 60, False
    seed = chosen.seed or (results.next_seed(results.load()) if chosen.keep else secrets.randbelow(1_000_000))
    while True:
        for name in SCENARIOS if chosen.scenario == "all" else (chosen.scenario,):
            print(f"scenario {name}, seed {seed}", flush=True)
            try:
                verdict = run(name, seed, chosen.seconds)
            except (CannotMount, CannotCut, NoPatroni) as error:
                print(f"scenario {name} can't be done on this machine: {error}")
                continue
            show(verdict)
            broken = broken or bool(verdict.problems)
            if chosen.keep:
                results.append(verdict.as_record())
        if time.monotonic() >= until:
            return int(broken)
        seed += 1


if __name__ == "__main__":
    sys.exit(main())
