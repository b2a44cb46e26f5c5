"""Results of runs: one line of JSON each, a table over one or all of them."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from libs.common.roster import SERVICES

KEPT = Path(".faults/results.jsonl")
# Aims over all runs: (kind, part) -> how many, and seconds until it works again.
AIMS: dict[tuple[str, str], tuple[int, float]] = {
    **{("kill -9", name): (200, 5.0) for name in SERVICES},
    ("kill -9", "postgres"): (200, 10.0),
    ("kill -9 leader", "nats"): (100, 15.0),
}


def append(record: dict[str, Any], path: Path = KEPT) -> None:
    """Keep one run."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def load(path: Path = KEPT) -> list[dict[str, Any]]:
    """All runs that were kept."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def next_seed(records: Iterable[dict[str, Any]]) -> int:
    """The first seed above all that ran."""
    return max((int(record["seed"]) for record in records), default=0) + 1


def fault_rows(records: Iterable[dict[str, Any]]) -> list[tuple[str, str, int, int, float | None, float | None]]:
    """(kind, part, count, alone, median, longest) by kind and part.

    The times are of faults that came alone: with others at once, a part waits for those too.
    """
    counts: dict[tuple[str, str], int] = defaultdict(int)
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        for fault in record["faults"]:
            key = (fault["kind"].partition(",")[0] if "poison" in fault["kind"] else fault["kind"], fault["part"])
            counts[key] += 1
            if fault["alone"] and fault["recovered_s"] is not None:
                times[key].append(fault["recovered_s"])
    rows = []
    for key in sorted(counts):
        found = times[key]
        middle, longest = (statistics.median(found), max(found)) if found else (None, None)
        rows.append((*key, counts[key], len(found), middle, longest))
    return rows


def table(records: list[dict[str, Any]]) -> str:
    """For people: sums over the runs, and recovery by fault."""
    sums: dict[str, int] = defaultdict(int)
    for record in records:
        for name, count in record["answers"].items():
            sums[name] += count
        for name in ("lost", "doubled", "poison", "replayed"):
            sums[name] += record[name]
    seeds = ", ".join(str(record["seed"]) for record in records)
    lines = [
        f"{len(records)} runs (seeds {seeds}), {sum(record['seconds'] for record in records) / 60:.1f} minutes",
        f"requests: {sums['acknowledged']} acknowledged, {sums['refused']} refused, {sums['unknown']} unknown",
        f"messages replayed {sums['replayed']}, poison buried {sums['poison']}",
        f"lost {sums['lost']}, doubled {sums['doubled']}",
        "",
        f"{'fault':<20}{'on':<13}{'times':>6}{'alone':>7}{'p50 s':>8}{'max s':>8}   aim",
    ]
    for kind, part, count, alone, middle, longest in fault_rows(records):
        shown = [f"{value:>8.1f}" if value is not None else f"{'-':>8}" for value in (middle, longest)]
        aim = AIMS.get((kind, part))
        wanted = ""
        if aim:
            met = count >= aim[0], longest is not None and longest <= aim[1]
            wanted = (
                f"   >= {aim[0]} ({'met' if met[0] else 'not yet'}), <= {aim[1]:g} s ({'met' if met[1] else 'missed'})"
            )
        lines.append(f"{kind:<20}{part:<13}{count:>6}{alone:>7}{shown[0]}{shown[1]}{wanted}")
    problems = [(record["seed"], problem) for record in records for problem in record["problems"]]
    lines += ["", f"{len(problems)} broken invariants" if problems else "all invariants hold"]
    lines += [f"  seed {seed}: {problem}" for seed, problem in problems[:40]]
    return "\n".join(lines)
