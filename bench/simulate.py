"""``python -m bench.simulate``: predicts what ``python -m bench.scale --keep`` measured, then what many sites need.

Demands come from twelve of the nineteen points: each kind alone with one process of each service (one request at a
time, and sixteen), questions also with 2 and 4 processes, reports with 4, from which crowding is taken, and mixed
traffic with 1, from which comes what mixing costs. The other seven, commands and mixed traffic with more processes, are
predicted and compared. Exit code 1 when one is more than 15 % off: then the second table can't be believed either.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bench.scale.demands import QUESTION, Demands
from bench.scale.model import CROWDED, MIXED, Installation, Outcome, fitted
from bench.scale.points import Measured, Point, load

OFF_AT_MOST = 0.15
SECONDS = 20.0
DAY_S, PEAK = 86_400, 10.0  # the busiest second of a day has ten times the mean
# What a site does in a day: reports, verdicts, lists that people and boards ask for, changes of items.
SITES = {
    "quiet": {"signal": 10, "verdict": 2, "items": 200, "patch": 5},
    "busy": {"signal": 100, "verdict": 20, "items": 2_000, "patch": 50},
}
TRIED = (1, 2, 4)
SITES_AT_LEAST = 10
FEW = 4  # questions at once, below which each finds its process asleep
BUSY_AT_MOST, ANSWER_P95_MS = 0.6, 100.0


def _is_fitted(point: Point) -> bool:
    """Whether the demands come from it."""
    alone = len(set(point.kinds)) == 1
    return point in (CROWDED, MIXED) or (alone and (point.processes == 1 or point.kinds == (QUESTION,)))


def compared(measured: Measured, found: Demands) -> Iterator[tuple[Point, float, float, float]]:
    """Each point that no demand comes from: measured and predicted requests a second, and by which share it is off."""
    for point in measured.points.values():
        if not _is_fitted(point):
            cores = float(measured.machine["cores"])
            few = point.kinds.count(QUESTION) * point.connections < FEW * len(point.kinds)
            installation = Installation(found, point.processes, cores, few_questions=few)
            predicted = installation.closed(point.kinds, point.connections, SECONDS).rate
            rate = measured.middle(point).rate
            yield point, rate, predicted, predicted / rate - 1


def needed(found: Demands, sites: int, kind: str) -> Iterator[tuple[int, int, Outcome]]:
    """The busiest second of so many sites, for machines of 2 to 16 cores and some processes of each service."""
    rates = {what: count * sites / DAY_S * PEAK for what, count in SITES[kind].items()}
    for cores in (2, 4, 8, 16):
        for processes in TRIED:
            yield cores, processes, Installation(found, processes, cores, few_questions=True).open(rates, SECONDS)


def _show_points(console: Console, measured: Measured, found: Demands) -> bool:
    table = Table("point", "measured /s", "predicted /s", "off", "rounds differ by")
    good = True
    for point, rate, predicted, off in compared(measured, found):
        others = " (disturbed)" if measured.disturbed(point) else ""
        spread = f"{measured.spread(point):.0%}{others}"
        table.add_row(point.name, f"{rate:.0f}", f"{predicted:.0f}", f"{off:+.0%}", spread)
        good = good and abs(off) <= OFF_AT_MOST
    console.print(table)
    return good


def _show_sites(console: Console, found: Demands, sites: int, kind: str) -> None:
    rate = sum(SITES[kind].values()) * sites / DAY_S * PEAK
    console.print(f"{sites:,} {kind} sites: {rate:.1f} requests in their busiest second")
    table = Table("cores", "of each", "answers /s", "p95 ms", "busiest part", "carries it")
    for cores, processes, outcome in needed(found, sites, kind):
        name, used = max(outcome.used.items(), key=lambda one: one[1] / (cores if one[0] == "postgres" else 1))
        share = used / (cores if name == "postgres" else 1)
        total = sum(outcome.used.values()) / cores
        fine = share <= BUSY_AT_MOST and total <= BUSY_AT_MOST and outcome.p95_ms <= ANSWER_P95_MS
        busiest = f"{name} {share:.0%}, all cores {total:.0%}"
        table.add_row(
            f"{cores}", f"{processes}", f"{outcome.rate:.1f}", f"{outcome.p95_ms:.1f}", busiest, "yes" if fine else "no"
        )
    console.print(table)


def main() -> int:
    """Exit code 0 when all points were predicted within 15 %, 1 when not, 2 when that can't be said."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--sites", type=int, default=1_000, help="how many sites, at least 10")
    parser.add_argument("--kind", choices=SITES, default="busy", help="what each of them does in a day")
    arguments = parser.parse_args()
    console = Console()
    if arguments.sites < SITES_AT_LEAST:
        console.print(f"{SITES_AT_LEAST} sites at least: fewer ask for too little to say anything")
        return 2
    try:
        measured = load()
    except FileNotFoundError:
        console.print("nothing was measured yet: run python -m bench.scale --keep")
        return 2
    found = fitted(measured)
    good = _show_points(console, measured, found)
    _show_sites(console, found, arguments.sites, arguments.kind)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
