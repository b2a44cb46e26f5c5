"""`make bench`: each figure beside a floor that is measured in the same run, in turns. About five minutes."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench import (
    assign,
    boards,
    command,
    consumer,
    crowd,
    deliveries,
    gate,
    growth,
    items,
    query,
    relay,
    reports,
    uploads,
)
from bench.figures import Report, heading, keep, machine
from bench.lab import BenchError, Lab
from deploy.embedded import EmbeddedError

Bench = Callable[[Lab, Report], Awaitable[None]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="run only this benchmark (may be repeated)")
    parser.add_argument("--keep", action="store_true", help="append the figures to bench/results/*.jsonl")
    parser.add_argument("--growth", action="store_true", help="also measure with 10 thousand and 1 million rows")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python in which FastStream is installed")
    parser.add_argument("--data-dir", type=Path, default=Path(".headgate"), help="folder for the servers' data")
    return parser.parse_args()


def _benches(arguments: argparse.Namespace) -> dict[str, Bench]:
    found: dict[str, Bench] = {
        "consumer": lambda lab, report: consumer.run(lab, report, arguments.peer_python),
        "boards": boards.run,
        "command": command.run,
        "assign": assign.run,
        "crowd": crowd.run,
        "deliveries": deliveries.run,
        "gate": gate.run,
        "items": items.run,
        "query": query.run,
        "relay": relay.run,
        "reports": reports.run,
        "uploads": uploads.run,
    }
    if arguments.growth:
        found["growth"] = growth.run
    return found


async def _run(arguments: argparse.Namespace) -> Report:
    report, shown = Report(), 0
    async with Lab(arguments.data_dir) as lab:
        facts = machine(lab.folder)
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
        print(heading())
        for name, bench in _benches(arguments).items():
            if arguments.only and name not in arguments.only:
                continue
            started = time.monotonic()
            await bench(lab, report)
            print(f"{name} ({time.monotonic() - started:.0f} s)")
            for figure in report.figures[shown:]:
                print(figure.line())
            shown = len(report.figures)
    for note in report.notes:
        print(f"note: {note}")
    if arguments.keep:
        for path in keep(report, facts):
            print(f"kept in {path}")
    return report


def main() -> int:
    """Exit code 0 when everything could be measured, 1 when not."""
    arguments = _arguments()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(arguments))
    except (BenchError, EmbeddedError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
