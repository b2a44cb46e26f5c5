"""The primary of a pair of databases dies, or is given over, under load: what was acknowledged is on the other one."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import replace
from pathlib import Path

from deploy.local.options import Options
from tests.faults.pair import Pair
from tests.faults.rig import Fault, Rig, Verdict

RATE_PER_S = 20


async def kill_primary(rig: Rig, pair: Pair) -> None:
    """The node is gone at once, and comes back when the other one has taken over."""
    primary = await pair.whole()
    fault = Fault("kill -9 primary", "postgres", rig.now_s())
    since = time.monotonic()
    await pair.kill(primary)
    await pair.until(lambda seen: any(role == "leader" and name != primary for name, role in seen.items()))
    fault.recovered_s = await rig.recovery_s("all", since)
    rig.record(fault)
    await pair.start(primary)
    await pair.whole()


async def give_over(rig: Rig, pair: Pair) -> None:
    """A planned change, as before maintenance of a node."""
    primary = await pair.whole()
    fault = Fault("switchover", "postgres", rig.now_s())
    since = time.monotonic()
    await pair.give_over(primary)
    fault.recovered_s = await rig.recovery_s("all", since)
    rig.record(fault)
    assert await pair.whole() != primary


async def failover(seed: int, seconds: float, folder: Path) -> Verdict:
    """The scenario: each of both once, again while there is time. Raises `NoPatroni`."""
    rng = random.Random(seed)
    async with Pair(folder / "pair", secrets.token_urlsafe(24)) as pair:
        options = replace(
            Options.private(folder / "data", 0, {"HEADGATE_REQUESTS_PER_MINUTE": "1000000"}),
            admin_database_url=pair.url,
        )
        async with Rig(folder, rng, options=options, say=True) as rig:
            until = time.monotonic() + seconds
            async with rig.driver.load(RATE_PER_S, rng):
                while True:
                    for act in rng.sample((kill_primary, give_over), 2):
                        await act(rig, pair)
                        await rig.driver.note_head()
                        await asyncio.sleep(1)
                    if time.monotonic() >= until:
                        break
            verdict = await rig.judge(seed, "failover")
            verdict.notes.append(rig.driver.summary())
            return verdict
