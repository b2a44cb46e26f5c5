"""The chart of a growing audit log, drawn of figures as the bench keeps them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.figures import Figure
from bench.log_chart import NAMES, draw


def _figures(size: str, rate: float, took: float) -> list[Figure]:
    return [
        Figure("log_growth", f"append, {size} entries", "/s", (rate,), "floor", (1000.0,), 0.7),
        Figure(
            "log_growth", f"inclusion proof, {size} entries, p50", "ms", (took,), "floor", (2.0,), lower_is_better=True
        ),
        Figure("log_growth", f"verification, {size} entries", "/s", (9.0,), "floor", (10.0,)),
    ]


def test_each_size_is_a_point_of_its_line_and_costs_go_up() -> None:
    figures = [*_figures("10,000", 500, 4), *_figures("100,000", 250, 4), *_figures("10,000,000", 500, 8)]
    svg = draw([figure.document() for figure in figures])
    texts = [one.text for one in ElementTree.fromstring(svg).iter() if one.tag.endswith("text")]
    assert set(NAMES) | {"append", "inclusion p50"} <= set(texts)
    append, inclusion = re.findall(r'polyline points="([^"]+)"', svg)
    heights = [[float(point.split(",")[1]) for point in line.split()] for line in (append, inclusion)]
    assert heights[0][0] == heights[0][2] > heights[0][1], "half the rate is twice the cost, which lies higher"
    assert heights[1][0] == heights[1][1] > heights[1][2]
    places = [float(point.split(",")[0]) for point in append.split()]
    assert places[2] - places[1] > places[1] - places[0] + 1, "one million was not measured"
