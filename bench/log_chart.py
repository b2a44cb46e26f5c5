"""The chart of a growing audit log: what an append and a proof cost, each beside its floor of the same minutes.

Drawn by `python -m bench.chart` from the last run of `python -m bench --log-growth --keep`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bench.plot import Line, chart

NAMES = ("10 thousand", "100 thousand", "1 million", "10 million")
_FIGURE = re.compile(
    r"(?P<what>append|inclusion|consistency)(?: proof)?, (?P<size>[\d,]+) entries(?:, (?P<share>p\d+))?"
)


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """The chart as SVG, of the figures of one run: how many times its floor each costs, by the log's size."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        found = _FIGURE.fullmatch(row["name"])
        if found is None:
            continue
        place = len(found["size"].replace(",", "")) - 5  # 10,000 is the first
        name = " ".join(part for part in (found["what"], found["share"]) if part)
        # Of a rate the cost is the other way round.
        cost = row["ratio"] if row["lower_is_better"] else 1 / row["ratio"]
        lines.setdefault(name, []).append((place, cost))
    shown = [Line(name, sorted(points)) for name, points in sorted(lines.items())]
    return chart("An append and proofs while the audit log grows", "entries", "floor = 1", shown, names=NAMES)
