"""An older version and this one work side by side under load, and each replaces the other: no pause, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.contracts import SERVICES
from tests.faults.beside import beside, pauses
from tests.faults.driver import Driver
from tests.faults.newer import newer

pytestmark = pytest.mark.faults
SEED = 20261130


def test_a_pause_is_seen() -> None:
    """Else the test below would be green while callers wait for a service that is not there."""
    driver = Driver([], "")
    calls = driver.plan(signals=1000)
    for call in calls:
        call.status = 201
    calls[0].status = 0
    assert pauses(driver) == []
    calls[1].status = 503
    assert pauses(driver) == [f"a pause: signal {calls[1].marker} got 503"]
    for call in calls[2:8]:
        call.status = 0
    assert pauses(driver)[1:] == ["a pause: 7 of 1000 calls got no answer"]


async def test_an_upgrade_and_the_way_back_lose_and_double_nothing(tmp_path: Path) -> None:
    verdict = await beside(SEED, 0, tmp_path)
    print(f"seed {SEED}; {verdict.notes}")
    assert verdict.problems == []
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert len(verdict.faults) == 2 * (1 + len(SERVICES))
    assert verdict.answers["acknowledged"] > 200


async def test_a_version_that_hears_more_comes_and_goes_and_misses_nothing(tmp_path: Path) -> None:
    verdict = await newer(SEED, 0, tmp_path)
    print(f"seed {SEED}; {verdict.notes}")
    assert verdict.problems == []
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert len(verdict.faults) == 2 * (1 + len(SERVICES))
    assert verdict.answers["acknowledged"] > 200
