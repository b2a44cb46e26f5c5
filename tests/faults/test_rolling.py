"""Scale-out on loopback: three NATS servers and two replicas of each service are restarted in turn, under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.contracts import SERVICES
from tests.faults import results
from tests.faults.cluster import NODES
from tests.faults.rolling import rolling, standing_still
from tests.stack import Stack

pytestmark = pytest.mark.faults
SEED = 20261130


async def test_a_consumer_that_hands_out_nothing_is_seen(stack: Stack) -> None:
    """Else the test below would be green with a consumer that a restart left behind."""
    assert await standing_still(stack.bus, 5) == []
    await stack.bus.js.publish(f"{stack.topology.namespace}.command.tracker.item.patch.1", b"{}")
    assert await standing_still(stack.bus, 0.5) == ["tracker-commands"]


async def test_a_rolling_restart_of_each_kind_loses_and_doubles_nothing(tmp_path: Path) -> None:
    verdict = await rolling(SEED, 0, tmp_path)
    print(f"seed {SEED}\n{results.table([verdict.as_record()])}")
    for note in verdict.notes:
        print(f"note: {note}")
    assert verdict.problems == []
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert len(verdict.faults) == len(NODES) + 2 * len(SERVICES)
    assert verdict.answers["acknowledged"] > 500
    assert not [note for note in verdict.notes if "unplanned end" in note or "task died" in note]
