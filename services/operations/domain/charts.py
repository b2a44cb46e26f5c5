"""Where the shapes of a report's charts stand, in units of the drawing. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle. ``kind`` says how it is coloured."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def stacks(values: Sequence[Sequence[tuple[str, int]]], *, width: float, height: float) -> list[list[Piece]]:
    """A column for each of ``values``, its parts upon each other; the tallest fills the height.

    Parts of 0 have no shape, and others are at least 1 unit high, so that a small one is never invisible.
    """
    if not values:
        return []
    step = width / len(values)
    top = max((sum(amount for _, amount in column) for column in values), default=0)
    found = []
    for place, column in enumerate(values):
        base, pieces = height, []
        for kind, amount in column:
            if amount > 0:
                tall = max(1.0, height * amount / top)
                base -= tall
                pieces.append(_piece(kind, place * step + step * 0.1, base, step * 0.8, tall))
        found.append(pieces)
    return found


def shares(parts: Sequence[tuple[str, int]], *, width: float, height: float) -> list[Piece]:
    """One bar of the whole width, its parts beside each other; of nothing there is no bar."""
    whole, left, found = sum(amount for _, amount in parts), 0.0, []
    for kind, amount in parts:
        if amount > 0:
            wide = width * amount / whole
            found.append(_piece(kind, left, 0.0, wide, height))
            left += wide
    return found


def _piece(kind: str, x: float, y: float, width: float, height: float) -> Piece:
    return Piece(kind, round(x, 2), round(y, 2), round(width, 2), round(height, 2))
