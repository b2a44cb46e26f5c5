"""What a run of the lab does, in which order. All chance comes from one seed, so a run can be repeated."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from libs.common.contracts import SERVICES
from tests.faults.rig import SERVERS, Rig, Verdict

RATE_PER_S = 40
PAUSE_S = 2.0
LONG_PAUSE_S = 12.0  # longer than the bus client's own pings, so that connections break
POISON_SHARE = 0.01
Step = Callable[[], Awaitable[object]]


async def short(rig: Rig, rng: random.Random, seconds: float) -> None:
    """Every kind of fault at least once, on a single set of services; then again on two replicas of each."""

    async def some_poison() -> None:
        await rig.put_poison(max(len(rig.driver.attempts) // int(1 / POISON_SHARE), 10))

    steps: list[Step] = [lambda part=part: rig.kill(part) for part in (*SERVERS, *SERVICES)]  # type: ignore[misc]
    steps += [lambda part=part: rig.pause(part, PAUSE_S) for part in (*SERVERS, *SERVICES)]  # type: ignore[misc]
    steps += [rig.kill_backend, rig.kill_all, rig.replay, rig.replay]
    rng.shuffle(steps)
    steps.append(some_poison)  # its share needs messages
    async with rig.driver.load(RATE_PER_S, rng):
        for step in steps:
            await step()
            await rig.driver.note_head()
        await rig.twin()
        await both(rig, rng)
    await rig.no_twins()


async def both(rig: Rig, rng: random.Random) -> None:
    """Two replicas of each service: one is killed, one is paused until the other has its messages."""
    steps: list[Step] = [lambda part=part: rig.kill(part) for part in SERVICES]  # type: ignore[misc]
    steps += [lambda part=part: rig.pause_past_ack(part) for part in ("governance", "tracker", "audit")]  # type: ignore[misc]
    steps += [rig.replay]
    rng.shuffle(steps)
    for step in steps:
        await step()
        await rig.driver.note_head()


async def kills(rig: Rig, rng: random.Random, seconds: float) -> None:
    """Round after round: one part alone, or several within a second, or a Postgres child, or all; sometimes twins."""
    until = time.monotonic() + seconds
    turn = 0
    order = [*SERVICES, *SERVICES, "postgres", "postgres", "nats"]
    async with rig.driver.load(RATE_PER_S, rng):
        while time.monotonic() < until:
            turn += 1
            await _round(rig, rng, order)
            if turn % 10 == 0:
                await rig.replay()
                await rig.put_poison(3)
            if turn % 5 == 0:
                await rig.driver.note_head()


async def _round(rig: Rig, rng: random.Random, order: list[str]) -> None:
    choice = rng.random()
    if choice < 0.45:
        await asyncio.sleep(rng.random() * 0.3)
        await rig.kill(rng.choice(order))
    elif choice < 0.85:
        parts = rng.sample([*SERVICES, "postgres", "nats"], rng.randint(2, 7))

        async def one(part: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            await rig.kill(part, alone=False)

        await asyncio.gather(*(one(part, rng.random()) for part in parts))
    elif choice < 0.93:
        await rig.kill_backend()
    elif choice < 0.97:
        await rig.kill_all()
    else:
        await rig.pause(rng.choice([*SERVICES, *SERVERS]), rng.choice([PAUSE_S, LONG_PAUSE_S]))


async def run_on_rig(
    name: str, body: Callable[[Rig, random.Random, float], Awaitable[None]], seed: int, seconds: float, folder: Path
) -> Verdict:
    """A scenario on one local stack."""
    rng = random.Random(seed)
    async with Rig(folder, rng, say=True) as rig:
        await body(rig, rng, seconds)
        return await rig.judge(seed, name)
