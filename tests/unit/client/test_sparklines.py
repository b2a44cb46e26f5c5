"""Sparklines: nothing is not zero."""

from __future__ import annotations

import pytest

from libs.client.views.kpi import sparkline


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], ""),
        ([0, 0], "▁▁"),
        ([None, 0, 7, 14], "·▁▅█"),
        ([3.5], "█"),
        ([None], "·"),
        ([-1, 8], "▁█"),
    ],
)
def test_bars_reach_from_zero_to_the_largest(values: list[float | None], want: str) -> None:
    assert sparkline(values) == want
