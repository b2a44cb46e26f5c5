"""How many servers of a cluster hold a stream: what the admin step does, and what it does not do unasked."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from libs.common import topology
from libs.common.bus import Bus, connect
from libs.common.topology import Topology
from tests.faults.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.whole]


async def _held_by(bus: Bus) -> set[int]:
    """Replicas of all streams that are synced."""
    kept = [stream.name or "" for stream in bus.topology.streams() if not stream.persist_mode]
    return {(await bus.js.stream_info(name)).config.num_replicas or 0 for name in kept}


async def test_the_admin_step_brings_streams_to_the_replicas_it_is_told_and_takes_none_away_unasked(
    tmp_path: Path,
) -> None:
    async with Cluster(tmp_path, secrets.token_urlsafe(32)) as nodes, asyncio.timeout(240):
        bus = await connect(nodes.url, Topology(), "gateway", name="test")
        try:
            assert await _held_by(bus) == {3}
            assert await topology.apply(bus.js, bus.topology, replicas=3) == []
            # An update that is due for another reason, by somebody who does not say how many there are.
            events = (await bus.js.stream_info("EVENTS")).config
            events.max_age = 3600
            await bus.js.update_stream(events)
            assert await topology.apply(bus.js, bus.topology) == ["stream EVENTS updated"]
            assert await _held_by(bus) == {3}
            synced = sum(not stream.persist_mode for stream in bus.topology.streams())
            assert len(await topology.apply(bus.js, bus.topology, replicas=1)) == synced
            assert await _held_by(bus) == {1}
            assert len(await topology.apply(bus.js, bus.topology, replicas=3)) == synced
            assert await _held_by(bus) == {3}
        finally:
            await bus.close()
