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
    audit,
    boards,
    command,
    consumer,
    crowd,
    deliveries,
    gate,
    growth,
    items,
    log_growth,
    outsider,
    query,
    relay,
    reports,
    slo,
    storm,
    token_check,
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
    parser.add_argument("--log-growth", action="store_true", help="also an audit log of 10 million entries (40 GB)")
    parser.add_argument(
        "--keep-log",
        action="store_true",
        help="with --log-growth: keep that log in the data folder's `growing-log`; a later run goes on there",
    )
    parser.add_argument("--outsider", action="store_true", help="also a mirror of a million entries, verified (3 GB)")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python in which FastStream is installed")
    parser.add_argument("--data-dir", type=Path, default=Path(".headgate"), help="folder for the servers' data")
    return parser.parse_args()


def _benches(arguments: argparse.Namespace) -> dict[str, Bench]:
    found: dict[str, Bench] = {
        "consumer": lambda lab, report: consumer.run(lab, report, arguments.peer_python),
        "audit": audit.run,
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
        "slo": slo.run,
        "storm": storm.run,
        "token_check": token_check.run,
        "uploads": uploads.run,
    }
    if arguments.growth:
        found["growth"] = growth.run
    if arguments.log_growth:
        found["log_growth"] = log_growth.run
    if arguments.outsider:
        found["outsider"] = outsider.run
    return found


def _chosen(arguments: argparse.Namespace) -> dict[str, Bench]:
    """The benchmarks that were asked for. Raises `BenchError` for one that there is not."""
    found = _benches(arguments)
    only = arguments.only or list(found)
    if unknown := [name for name in only if name not in found]:
        raise BenchError(
            f"there is no benchmark {', '.join(unknown)}; there are {', '.join(found)}, and growth with --growth, "
            "log_growth with --log-growth"
        )
    if arguments.keep_log and only != ["log_growth"]:
        raise BenchError("--keep-log keeps the log of one benchmark: give --log-growth --only log_growth with it")
    return {name: found[name] for name in found if name in only}


async def _run(arguments: argparse.Namespace) -> Report:
    chosen = _chosen(arguments)
    report = Report()
    async with Lab(arguments.data_dir, "growing-log" if arguments.keep_log else "") as lab:
        facts = machine(lab.folder)
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
        print(heading())
        for name, bench in chosen.items():
            started = time.monotonic()
            await bench(lab, report)
            print(f"{name} ({time.monotonic() - started:.0f} s)")
            report.show()
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
