"""A line chart as SVG, for pages in docs/. Small on purpose: axes, lines, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 360, 56, 40, 36, 130
COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8e5ea2", "#e07a1f", "#555555")


@dataclass(frozen=True)
class Line:
    """A named line through (x, y) points."""

    name: str
    points: Sequence[tuple[float, float]]


def _step(top: float) -> float:
    """A round distance between ticks, for about five of them."""
    size = 1.0
    while size * 5 < top:
        size *= 10
    for share in (0.1, 0.2, 0.5, 1.0):
        if size * share * 5.5 >= top:
            return size * share
    return size


def chart(title: str, x_title: str, y_title: str, lines: Sequence[Line], names: Sequence[str] = ()) -> str:
    """The chart as SVG text. Both axes begin at zero, so that nothing looks larger than it is.

    With ``names`` x is the number of a name (0, 1, …), and each point is marked.
    """
    right = max((x for line in lines for x, _ in line.points), default=1.0)
    right = max(right, len(names) - 1) or 1.0
    top = max((y for line in lines for _, y in line.points), default=1.0) * 1.1 or 1.0
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + wide * x / right, TOP + high * (1 - y / top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text x="{LEFT - 6}" y="{TOP - 6}" text-anchor="end">{escape(y_title)}</text>',
    ]
    for number in range(int(top / _step(top)) + 1):
        x, y = place(0, number * _step(top))
        parts.append(f'<line x1="{x}" y1="{y:.1f}" x2="{x + wide}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{number * _step(top):g}</text>')
    steps = [(number * _step(right), f"{number * _step(right):g}") for number in range(int(right / _step(right)) + 1)]
    for at_x, text in list(enumerate(names)) or steps:
        x, y = place(at_x, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 16}" text-anchor="middle">{escape(text)}</text>')
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(*point) for point in line.points]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places if names]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        at = TOP + 14 + 18 * number
        parts.append(f'<rect x="{LEFT + wide + 12}" y="{at - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + wide + 28}" y="{at}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
