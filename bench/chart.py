"""Writes the last figures of `bench/results/*.jsonl` into docs/performance.md, and draws those with an aim as bars;
beside it docs/audit-growth.svg.

python -m bench.chart
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from bench import log_chart
from bench.figures import RESULTS, shown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by python -m bench.chart -->", "<!-- end of figures -->"
MACHINE = ("cores", "machine", "system", "python", "fsync_ms", "load")
WIDTH, ROW, LEFT, BAR = 920, 30, 440, 360
FULL = 1.6  # how much better than its aim a bar's full length is


def last_figures() -> list[dict[str, Any]]:
    """The figures of each benchmark's last run."""
    found = []
    for path in sorted(RESULTS.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        rows = [row for row in rows if "ratio" in row]
        found += [row for row in rows if row["at"] == rows[-1]["at"]]
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


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table, with what they depend on."""
    lines = [f"Measured {row['at'][:10]}: " + ", ".join(f"{name} {row[name]}" for name in MACHINE) for row in rows[-1:]]
    lines += ["", "| figure | value | beside | its value | ratio | aim |", "|---|---|---|---|---|---|"]
    for row in rows:
        aim = "" if row["aim"] is None else f"{'≤' if row['lower_is_better'] else '≥'} {row['aim']:g}"
        verdict = "" if row["reached"] is None else ", reached" if row["reached"] else ", missed"
        beside = "" if row["floor"] is None else shown(row["floor"])
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        cells = (row["name"], f"{shown(row['value'])} {row['unit']}", row["floor_name"], beside, ratio, aim + verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the chart and the table."""
    rows = last_figures()
    growing = [row for row in rows if row["bench"] == "log_growth"]
    if growing:
        PAGE.with_name("audit-growth.svg").write_text(log_chart.draw(growing))
    PAGE.with_suffix(".svg").write_text(draw([row for row in rows if row["aim"] is not None and row not in growing]))
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")
    print(f"written into {PAGE} and its chart")


if __name__ == "__main__":
    main()
