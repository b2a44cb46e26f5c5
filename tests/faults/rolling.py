"""A rolling restart of everything that has two or three of a kind: nothing is lost, and each consumer goes on.

Three NATS servers with every stream on all of them, two replicas of each service, and load through both gateways. Each
server and each replica is stopped as an upgrade stops it (SIGTERM), started again, and waited for, one after another.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nats.js.errors import Error as JetStreamError

from deploy.local.options import Options
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.contracts import SERVICES
from libs.common.topology import durables
from tests.faults.cluster import NODES, Cluster
from tests.faults.rig import NEVER_S, Fault, Rig, Verdict

RATE_PER_S = 20
# A consumer that a restart left behind stands still for ever: this is only how long one may take to find its leader.
GOES_ON_WITHIN_S = 60.0


async def standing_still(bus: Bus, within_s: float = GOES_ON_WITHIN_S) -> list[str]:
    """The durables that don't get past what their stream holds now; none, once all did.

    An idle one counts as going on when nothing is left for it. What matters is each durable for itself: a stream may be
    healthy while one of its consumers has no leader, or has one that hands out nothing.
    """
    waiting = {config.durable_name or "": stream for stream, config in durables(bus.topology)}
    ends: dict[str, int] = {}
    until = time.monotonic() + within_s
    while waiting and time.monotonic() < until:
        for durable, stream in list(waiting.items()):
            with suppress(*NATS_ERRORS, JetStreamError):
                if stream not in ends:
                    ends[stream] = (await bus.js.stream_info(stream)).state.last_seq
                info = await bus.js.consumer_info(stream, durable)
                passed = info.ack_floor is not None and info.ack_floor.stream_seq >= ends[stream]
                if passed or not (info.num_pending or info.num_ack_pending):
                    del waiting[durable]
        await asyncio.sleep(0.1)
    return sorted(waiting)


async def all_copies_follow(rig: Rig) -> None:
    """Return when each stream has a leader and each of its copies is up to date: before that, no other node may go."""
    left = [stream.name or "" for stream in rig.topology.streams() if not stream.persist_mode]
    async with asyncio.timeout(NEVER_S):
        while left:
            with suppress(*NATS_ERRORS, JetStreamError):
                found = (await rig.tap.bus.js.stream_info(left[0])).cluster
                copies = found.replicas or [] if found else []
                if found and found.leader and len(copies) == len(NODES) - 1 and all(copy.current for copy in copies):
                    left.pop(0)
                    continue
            await asyncio.sleep(0.1)


async def _restarted(rig: Rig, part: str, restart: Coroutine[Any, Any, None]) -> Fault:
    fault = Fault("rolling restart", part, rig.now_s())
    since = time.monotonic()
    await restart
    fault.recovered_s = await rig.recovery_s("all", since)
    if still := await standing_still(rig.tap.bus):
        fault.kind, fault.recovered_s = f"{fault.kind}: {', '.join(still)} stand still", None
    return rig.record(fault)


async def restart_node(rig: Rig, nodes: Cluster, name: str) -> Fault:
    """Stop one NATS server and start it again; the next may follow when it has caught up."""

    async def work() -> None:
        await asyncio.to_thread(nodes.servers[name].stop)
        await nodes.start(name)
        await all_copies_follow(rig)

    return await _restarted(rig, "nats", work())


async def restart_service(rig: Rig, name: str) -> list[Fault]:
    """First the one replica, then the other."""

    async def first() -> None:
        await asyncio.to_thread(rig.stack.restart, name)

    return [
        await _restarted(rig, name, first()),
        await _restarted(rig, name, rig.restart_twin(name)),
    ]


async def rolling(seed: int, seconds: float, folder: Path) -> Verdict:
    """The scenario: each node and each replica once, in an order of chance; again while there is time."""
    rng, secret = random.Random(seed), secrets.token_urlsafe(32)
    async with Cluster(folder / "nats", secret) as nodes:
        options = replace(
            Options.private(folder / "data", 0, {"HEADGATE_REQUESTS_PER_MINUTE": "1000000"}),
            admin_nats_url=nodes.url,
            cluster_secret=secret,
            nats_replicas=len(NODES),
        )
        async with Rig(folder, rng, options=options, say=True) as rig:
            await rig.twin()
            until = time.monotonic() + seconds
            async with rig.driver.load(RATE_PER_S, rng):
                while True:
                    turns = [*NODES, *SERVICES]
                    rng.shuffle(turns)
                    for turn in turns:
                        if turn in NODES:
                            await restart_node(rig, nodes, turn)
                        else:
                            await restart_service(rig, turn)
                        await rig.driver.note_head()
                    if time.monotonic() >= until:
                        break
            await rig.no_twins()
            verdict = await rig.judge(seed, "rolling")
            verdict.notes.append(rig.driver.summary())
            return verdict
