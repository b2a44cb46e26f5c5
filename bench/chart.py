"""Draws the last figures of `bench/results/*.jsonl` that have an aim as bars, into docs/performance.svg.

python -m bench.chart
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from bench.figures import RESULTS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "performance.svg"
WIDTH, ROW, LEFT, BAR = 920, 30, 440, 360
FULL = 1.6  # how much better than its aim a bar's full length is


def last_figures() -> list[dict[str, Any]]:
    """The figures with an aim of each benchmark's last run."""
    found = []
    for path in sorted(RESULTS.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        rows = [row for row in rows if "ratio" in row]
        found += [row for row in rows if row["at"] == rows[-1]["at"] and row["aim"] is not None]
    return found


def draw(rows: list[dict[str, Any]]) -> str:
    """The chart as SVG: the line is the aim, and longer bars are better for rates and for durations alike."""
    height = ROW * len(rows) + 50
    aim_x = LEFT + BAR / FULL
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, row in enumerate(rows):
        y = 12 + number * ROW
        share = row["aim"] / row["ratio"] if row["lower_is_better"] else row["ratio"] / row["aim"]
        length = BAR * min(share, FULL) / FULL
        colour = "#2a7f62" if row["reached"] else "#c2571a"
        label = escape(f"{row['name']} / {row['floor_name']}")
        sign = "≤" if row["lower_is_better"] else "≥"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end" fill="#222222">{label}</text>',
            f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="17" rx="2" fill="{colour}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 16}" fill="#222222">{row["ratio"]:.2f} '
            f"({sign} {row['aim']:g})</text>",
        ]
    bottom = 12 + len(rows) * ROW
    parts += [
        f'<line x1="{aim_x:.1f}" y1="8" x2="{aim_x:.1f}" y2="{bottom}" stroke="#222222" stroke-dasharray="4 3"/>',
        f'<text x="{aim_x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#222222">aim</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the chart."""
    TARGET.write_text(draw(last_figures()))
    print(f"written to {TARGET}")


if __name__ == "__main__":
    main()
