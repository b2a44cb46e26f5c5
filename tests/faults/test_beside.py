"""An older version and this one work side by side under load, and each replaces the other: no pause, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.contracts import SERVICES
from tests.faults.beside import beside

pytestmark = pytest.mark.faults
SEED = 20261130


async def test_an_upgrade_and_the_way_back_lose_and_double_nothing(tmp_path: Path) -> None:
    verdict = await beside(SEED, 0, tmp_path)
    print(f"seed {SEED}; {verdict.notes}")
    assert verdict.problems == []
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert len(verdict.faults) == 2 * (1 + len(SERVICES))
    assert verdict.answers["acknowledged"] > 200
