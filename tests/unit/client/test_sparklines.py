"""Sparklines: nothing is not zero."""

from __future__ import annotations

import pytest

from libs.client.views.kpi import sparkline
from libs.common.contracts.tracker.items import BASE
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says


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


def test_of_a_run_that_failed_the_reason(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {BASE}/kpi/latest", Says({"run_id": 9, "status": "failed", "reason": "OSError: no luck"}))
    assert "run 9: OSError: no luck" in tool("kpi", "latest").stdout
