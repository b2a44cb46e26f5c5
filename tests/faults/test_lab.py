"""One seeded run of the lab: each kind of fault at least once, on one and on two replicas of each service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import results, scenarios

pytestmark = pytest.mark.faults
SEED = 20260301


async def test_every_kind_of_fault_loses_and_doubles_nothing(tmp_path: Path) -> None:
    verdict = await scenarios.run_on_rig("short", scenarios.short, SEED, 0, tmp_path)
    print(f"seed {SEED}\n{results.table([verdict.as_record()])}")
    for note in verdict.notes:
        print(f"note: {note}")
    assert verdict.problems == []
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.answers["acknowledged"] > 500
    assert verdict.poison >= 10
    assert verdict.replayed >= 300
